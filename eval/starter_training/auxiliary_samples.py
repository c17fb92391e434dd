"""Samples without a post: questions about a picture, boxes, a description, copying, and the meaning of labels."""

from __future__ import annotations

import random

from eval.starter_training.attention_targets import box_of, cells
from eval.starter_training.sample_makers import SampleMaker
from eval.starter_training.samples import Sample, Target
from instruct_mner.synthetic.label_sets import Domain
from instruct_mner.synthetic.posts import SyntheticPost
from instruct_mner.synthetic.settings import COLOURS, DrawnObject
from instruct_mner.synthetic.vocabulary import word


def questions(maker: SampleMaker, index: int, count: int = 6) -> Sample:
    """Return a conversation about one picture: the object at a place, of a colour, or over some letters."""
    post = maker.posts[index]
    sample = Sample("questions", (), picture=index)
    sample.add([*maker.start, *maker.image])
    first_image = len(maker.start) + 2
    for number in range(count):
        cue, kind, item = _question(post, maker.rng)
        sample.add(maker.next if number else [])
        sample.add(maker.encode(f"What is {cue}"))
        if item is not None:
            query = sample.position - 1
            sample.targets.append(
                Target("look", query, tuple(first_image + token for token in cells(item, post.synthesis.level)))
            )
        sample.add([*maker.encode("?"), *maker.turn])
        if item is not None:
            sample.targets.append(Target("link", sample.position - 1, (query,)))
        sample.decisive.append((len(sample.ids), f"question {kind}"))
        sample.add([*maker.encode(" " + _definition(post, item)), *maker.end], learned=True)
    return sample


def _definition(post: SyntheticPost, item: DrawnObject | None) -> str:
    return "none" if item is None else post.synthesis.domain.types[item.type].definition


def _question(post: SyntheticPost, rng: random.Random) -> tuple[str, str, DrawnObject | None]:
    kind = rng.choice(("colour", "place", "letters"))
    lettered = [each for each in post.objects if each.letters]
    if kind == "letters" and lettered:
        item = rng.choice(lettered)
        written = str(item.letters)
        if rng.random() < 0.5:
            return written, kind, item
        # The question holds a name that begins with the letters; attention is supervised from its end.
        return written.title(), "name", item
    kind = kind if kind != "letters" else rng.choice(("colour", "place"))
    if kind == "place" and rng.random() < 0.15:
        free = set(range(len(post.synthesis.places))) - {each.cell for each in post.objects}
        if free:
            return post.synthesis.places[rng.choice(sorted(free))], "empty place", None
    item = rng.choice(post.objects)
    return COLOURS[item.colour] if kind == "colour" else post.synthesis.places[item.cell], kind, item


def boxes(maker: SampleMaker, index: int, count: int = 5) -> Sample:
    """Return a conversation about one picture: the boxes of its objects, alone."""
    post = maker.posts[index]
    sample = Sample("boxes", (), picture=index)
    sample.add([*maker.start, *maker.image])
    for number in range(count):
        cue, kind, item = _question(post, maker.rng)
        answer = " []" if item is None else box_of(post, post.objects.index(item), maker.box_step)
        sample.add(maker.next if number else [])
        sample.add([*maker.encode(f"Where is {cue}?"), *maker.turn])
        maker.add_box(sample, answer, f"alone {kind}")
        sample.add(maker.end, learned=True)
    return sample


def describe(maker: SampleMaker, index: int) -> Sample:
    """Return a sample whose answer lists all objects of the picture, place by place."""
    sample = Sample("describe", (), picture=index)
    sample.add([*maker.start, *maker.image, *maker.encode("Describe the picture."), *maker.turn])
    post = maker.posts[index]
    lines = []
    for item in sorted(post.objects, key=lambda each: each.cell):
        written = f" {item.letters}" if item.letters else ""
        what = f"{_definition(post, item)} {item.drawing}"
        lines.append(f" {COLOURS[item.colour]} {what} {post.synthesis.places[item.cell]}{written}")
    sample.add([*maker.encode("\n".join(lines)), *maker.end], learned=True)
    return sample


def repeat(maker: SampleMaker) -> Sample:
    """Return a sample of copying: words of random syllables, or random tokens."""
    rng, sample = maker.rng, Sample("repeat", ())
    sample.add(maker.encode(f"{maker.opening}Post: "))
    if rng.random() < 0.5:
        words = [rng.choice((str.title, str.lower))(word(rng, "train")) for _ in range(rng.randint(4, 12))]
        ids = maker.encode(" " + " ".join(words))
    else:
        ids = [rng.randrange(60, len(maker.tokenizer)) for _ in range(rng.randint(6, 20))]
    sample.add([*ids, *maker.turn])
    sample.add([*ids, *maker.end], learned=True)
    return sample


def define(maker: SampleMaker, domain: Domain) -> Sample:
    """Return a sample without a picture: the label that has a definition, for labels that mean nothing."""
    names = maker.random_names(len(domain.types))
    order = maker.rng.sample(range(len(names)), len(names))
    prompt = maker.ask(domain, names=names, defined=True, order=order)
    sample = Sample("define", (), targets=list(prompt.targets))
    sample.add(prompt.prefix)
    assert prompt.definitions is not None
    for number, index in enumerate(maker.rng.sample(order, len(order))):
        sample.add(maker.next if number else [])
        sample.add(maker.encode(f"What is {domain.types[index].definition}"))
        word_end = sample.position - 1
        sample.add([*maker.encode("?"), *maker.turn])
        sample.targets.append(Target("read", sample.position - 1, (word_end,)))
        sample.targets.append(Target("name", sample.position - 1, (prompt.definitions[index],)))
        sample.decisive.append((len(sample.ids), "define"))
        sample.add([*maker.encode(" " + names[index]), *maker.end], learned=True)
    return sample
