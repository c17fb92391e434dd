"""Exercises without a post: questions about a picture, its description, copying, and what labels mean."""

from __future__ import annotations

import random

from eval.starter_training.attention_targets import cells
from eval.starter_training.sample_makers import Teacher
from eval.starter_training.samples import Exercise, Target
from instruct_mner.synthetic.label_sets import Domain
from instruct_mner.synthetic.posts import Post
from instruct_mner.synthetic.settings import COLOURS, Shown
from instruct_mner.synthetic.vocabulary import word


def questions(teacher: Teacher, index: int, count: int = 6) -> Exercise:
    """What is at a place, of a colour, over some letters: several turns about one picture."""
    post = teacher.posts[index]
    exercise = Exercise("questions", (), picture=index)
    exercise.add([*teacher.start, *teacher.image])
    first_image = len(teacher.start) + 2
    for number in range(count):
        cue, kind, shown = _question(post, teacher.rng)
        exercise.add(teacher.next if number else [])
        exercise.add(teacher.encode(f"What is {cue}"))
        if shown is not None:
            query = exercise.position - 1
            exercise.targets.append(
                Target("look", query, tuple(first_image + token for token in cells(shown, post.synthesis.level)))
            )
        exercise.add([*teacher.encode("?"), *teacher.turn])
        if shown is not None:
            exercise.targets.append(Target("link", exercise.position - 1, (query,)))
        exercise.decisive.append((len(exercise.ids), f"question {kind}"))
        exercise.add([*teacher.encode(" " + _definition(post, shown)), *teacher.end], learned=True)
    return exercise


def _definition(post: Post, shown: Shown | None) -> str:
    return "none" if shown is None else post.synthesis.domain.types[shown.type].definition


def _question(post: Post, rng: random.Random) -> tuple[str, str, Shown | None]:
    kind = rng.choice(("colour", "place", "letters"))
    lettered = [each for each in post.objects if each.letters]
    if kind == "letters" and lettered:
        shown = rng.choice(lettered)
        written = str(shown.letters)
        if rng.random() < 0.5:
            return written, kind, shown
        # Asked by a name, whose first two letters they are; attention is taught from its end, as by the letters.
        return written.title(), "name", shown
    kind = kind if kind != "letters" else rng.choice(("colour", "place"))
    if kind == "place" and rng.random() < 0.15:
        free = set(range(len(post.synthesis.places))) - {each.cell for each in post.objects}
        if free:
            return post.synthesis.places[rng.choice(sorted(free))], "empty place", None
    shown = rng.choice(post.objects)
    return COLOURS[shown.colour] if kind == "colour" else post.synthesis.places[shown.cell], kind, shown


def describe(teacher: Teacher, index: int) -> Exercise:
    """All objects of the picture, place by place."""
    exercise = Exercise("describe", (), picture=index)
    exercise.add([*teacher.start, *teacher.image, *teacher.encode("Describe the picture."), *teacher.turn])
    post = teacher.posts[index]
    lines = []
    for shown in sorted(post.objects, key=lambda each: each.cell):
        written = f" {shown.letters}" if shown.letters else ""
        what = f"{_definition(post, shown)} {shown.drawing}"
        lines.append(f" {COLOURS[shown.colour]} {what} {post.synthesis.places[shown.cell]}{written}")
    exercise.add([*teacher.encode("\n".join(lines)), *teacher.end], learned=True)
    return exercise


def repeat(teacher: Teacher) -> Exercise:
    """Copying: words of random syllables, or random tokens."""
    rng, exercise = teacher.rng, Exercise("repeat", ())
    exercise.add(teacher.encode("<|im_start|>User: Post: "))
    if rng.random() < 0.5:
        words = [rng.choice((str.title, str.lower))(word(rng, "train")) for _ in range(rng.randint(4, 12))]
        ids = teacher.encode(" " + " ".join(words))
    else:
        ids = [rng.randrange(60, len(teacher.tokenizer)) for _ in range(rng.randint(6, 20))]
    exercise.add([*ids, *teacher.turn])
    exercise.add([*ids, *teacher.end], learned=True)
    return exercise


def define(teacher: Teacher, domain: Domain) -> Exercise:
    """Text alone: which label has a definition, for labels that mean nothing."""
    names = teacher.random_names(len(domain.types))
    order = teacher.rng.sample(range(len(names)), len(names))
    asked = teacher.ask(domain, names=names, defined=True, order=order)
    exercise = Exercise("define", (), targets=list(asked.targets))
    exercise.add(asked.prefix)
    assert asked.definitions is not None
    for number, index in enumerate(teacher.rng.sample(order, len(order))):
        exercise.add(teacher.next if number else [])
        exercise.add(teacher.encode(f"What is {domain.types[index].definition}"))
        word_end = exercise.position - 1
        exercise.add([*teacher.encode("?"), *teacher.turn])
        exercise.targets.append(Target("read", exercise.position - 1, (word_end,)))
        exercise.targets.append(Target("name", exercise.position - 1, (asked.definitions[index],)))
        exercise.decisive.append((len(exercise.ids), "define"))
        exercise.add([*teacher.encode(" " + names[index]), *teacher.end], learned=True)
    return exercise
