"""What the starter is taught once it can see: short exercises as token ids, made from synthetic posts.

Each exercise says which tokens are learned, and where the decoder's attention ought to be: the chain from a name to
its type is taught hop by hop, in heads of neighbouring layers. Nothing of this stays in the model but its weights.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from instruct_mner.answers import AnswerSpec
from instruct_mner.images import BoxConvention, to_model_units
from instruct_mner.prompts import find_prompt
from instruct_mner.records import LabelSet
from instruct_mner.starter.architecture import NUM_IMAGE_TOKENS
from instruct_mner.starter.domains import Domain
from instruct_mner.starter.posts import COLOURS, Mention, Post, Shown
from instruct_mner.starter.scene import draw_scene
from instruct_mner.starter.seeing import quadrant
from instruct_mner.starter.words import clause, letters, word


@dataclass(frozen=True)
class Hop:
    """Where attention is taught to go.

    Attributes:
        layer: Of the decoder.
        heads: Which of its heads.
    """

    layer: int
    heads: tuple[int, int]


HOPS = {
    # From the words that link a name to its object, to the object in the picture.
    "look": Hop(2, (2, 3)),
    # From the token before a type, to these words.
    "link": Hop(3, (2, 3)),
    # From the token before a type, to the affix and the words that point to a type.
    "read": Hop(4, (0, 1)),
    # From a definition, to the label that it defines.
    "define": Hop(3, (0, 1)),
    # From the token before a type, to the definition.
    "name": Hop(5, (0, 1)),
}


@dataclass(frozen=True)
class Target:
    """One row of attention: the token at ``query`` ought to look at ``keys``, all as positions in the sequence."""

    hop: str
    query: int
    keys: tuple[int, ...]


@dataclass
class Exercise:
    """One sequence.

    Attributes:
        kind: Which exercise it is, for the log.
        prefix: What it shares with the others of its batch; not learned.
        ids: What follows.
        learned: Whether each of ``ids`` is learned.
        picture: Index of the post whose picture it shows; ``None`` is none.
        targets: Where attention ought to go.
        decisive: Positions in ``ids`` of tokens that say a type, each with a name for the log.
    """

    kind: str
    prefix: tuple[int, ...]
    ids: list[int] = field(default_factory=list)
    learned: list[bool] = field(default_factory=list)
    picture: int | None = None
    targets: list[Target] = field(default_factory=list)
    decisive: list[tuple[int, str]] = field(default_factory=list)

    @property
    def position(self) -> int:
        """Where the next token goes, in the whole sequence."""
        return len(self.prefix) + len(self.ids)

    def add(self, ids: Sequence[int], *, learned: bool = False) -> None:
        """Appends tokens."""
        self.ids.extend(ids)
        self.learned.extend([learned] * len(ids))


@dataclass(frozen=True)
class Asked:
    """A label set as a prompt shows it, and its tokens.

    Attributes:
        names: The name of each type of the domain.
        prefix: Tokens up to the picture.
        definitions: Position of the last token of each definition, where there are definitions.
        targets: From each definition to its label.
        grounded: Whether boxes are asked for.
        renamed: Whether the types have other names than their own.
    """

    names: tuple[str, ...]
    prefix: tuple[int, ...]
    definitions: tuple[int, ...] | None
    targets: tuple[Target, ...]
    grounded: bool = False
    renamed: bool = False


class Teacher:
    """Makes exercises.

    Args:
        tokenizer: The starter's.
        posts: What they are made from; ``picture`` of an exercise is an index into these.
        seed: Of all that is random.
    """

    def __init__(self, tokenizer: Any, posts: Sequence[Post], seed: int) -> None:
        self.posts = posts
        self.rng = random.Random(seed)
        self._tokenizer = tokenizer
        self._prompts = {False: find_prompt("tag"), True: find_prompt("tag-grounded")}
        around, tile, image, *_ = tokenizer.convert_tokens_to_ids(
            ["<fake_token_around_image>", "<global-img>", "<image>"]
        )
        self._image = [around, tile, *[image] * NUM_IMAGE_TOKENS, around]
        self._start = self._encode("<|im_start|>User:")
        self._turn = self._encode("<end_of_utterance>\nAssistant:")
        self._end = self._encode("<end_of_utterance>")
        self._next = self._encode("\nUser: ")
        self._several = [index for index, post in enumerate(posts) if len(post.objects) > 1]
        self._shown = [index for index, post in enumerate(posts) if post.objects]
        self._lettered = [index for index in self._several if any(each.letters for each in posts[index].objects)]

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    # -- how a label set is asked for

    def ask(
        self,
        domain: Domain,
        *,
        order: Sequence[int],
        names: Sequence[str] | None = None,
        defined: bool = False,
        grounded: bool = False,
    ) -> Asked:
        """The prompt of a label set up to the picture.

        Args:
            domain: Its types.
            order: In which order the types stand.
            names: Other names for them.
            defined: Whether their definitions are shown.
            grounded: Whether boxes are asked for.
        """
        shown = tuple(names or (each.name for each in domain.types))
        rows = {shown[index]: domain.types[index].definition for index in order}
        spec = AnswerSpec(labels=LabelSet.of(rows if defined else list(rows)), grounded=grounded)
        text = "<|im_start|>User: " + self._prompts[grounded].instruction(spec)
        encoded = self._tokenizer(text, add_special_tokens=False)
        definitions, targets = None, []
        if defined:
            definitions = tuple(0 for _ in shown)
            places = list(definitions)
            for index, name in enumerate(shown):
                written = f"{name} ({domain.types[index].definition})"
                at = text.rindex(written)
                places[index] = encoded.char_to_token(at + len(written) - 2)
                targets.append(Target("define", places[index], (encoded.char_to_token(at),)))
            definitions = tuple(places)
        return Asked(shown, tuple(encoded.input_ids), definitions, tuple(targets), grounded, names is not None)

    def random_names(self, count: int) -> list[str]:
        """Names of labels that mean nothing."""
        names: dict[str, None] = {}
        while len(names) < count:
            each = word(self.rng, "train")[: self.rng.randint(3, 7)]
            names[self.rng.choice((each, each.upper(), each.upper(), each.title()))] = None
        return list(names)

    # -- exercises

    def tag(self, index: int, asked: Asked, *, picture: str = "own") -> Exercise:
        """A whole post: its mentions, each with its type.

        Args:
            index: Of the post.
            asked: Its label set.
            picture: ``own``, ``none`` for a prompt without one, or ``other`` for that of some other post.
        """
        post = self.posts[index]
        shown = {"own": index, "other": self.rng.choice(self._shown), "none": None}[picture]
        seen = () if shown is None else self.posts[shown].objects
        links = [
            _Link(each, _cells_to_look_at(post, each, seen, own=picture == "own"), _Words.of(post, each))
            for each in post.mentions
        ]
        tags = [_slice(post, each.mention, picture) for each in links]
        boxes = [_box(post, each.mention, own=picture == "own") for each in links] if asked.grounded else None
        return self._answered("grounded" if boxes is not None else "tag", post.text, links, tags, asked, shown, boxes)

    def linked(self, index: int, asked: Asked) -> Exercise:
        """A short text for the picture of a post, in which every name is linked to its object."""
        post, rng = self.posts[index], self.rng
        text, links, tags = "", [], []
        separator = rng.choice((" . ", " ! ", " , ", " ... ", " & "))
        for shown in rng.sample(post.objects, len(post.objects)):
            around = clause(rng, "train") if rng.random() < 0.4 else None
            core = word(rng, "train")
            if shown.letters:
                core = shown.letters.lower() + core[2:]
            name = core.title() + (" " + word(rng, "train").title() if rng.random() < 0.3 else "")
            kind = "letters" if shown.letters else rng.choice(("colour", "place"))
            says = {"colour": COLOURS[shown.colour], "place": post.synthesis.places[shown.cell]}.get(kind)
            before, after = "", ""
            if says:
                before, after = rng.choice(((f"{says} ", ""), ("", f" ( {says} )"), ("", f" in {says}")))
            text += (separator if text else "") + (around.before if around else "") + before
            start, end = len(text), len(text) + len(name)
            text += name + after + (around.after if around else "")
            cue_end = start - 1 if before else end + len(after.removesuffix(" )")) if after else start + 2
            mention = Mention(start, end, shown.type, core, None, None, kind, None, cue_end, None)
            links.append(_Link(mention, _cells(shown), _Words(cue_end, ())))
            tags.append(f"linked {kind}")
        return self._answered("linked", text, links, tags, asked, index)

    def _answered(
        self,
        kind: str,
        text: str,
        links: list[_Link],
        tags: list[str],
        asked: Asked,
        picture: int | None,
        boxes: list[str] | None = None,
    ) -> Exercise:
        exercise = Exercise(kind, asked.prefix, picture=picture)
        first_image = exercise.position + 2
        if picture is not None:
            exercise.add(self._image)
        body = ("\nPost: " if picture is not None else "Post: ") + text
        encoded = self._tokenizer(body, add_special_tokens=False)
        offset, lead = exercise.position, len(body) - len(text)
        exercise.add(encoded.input_ids)
        exercise.add(self._turn)

        def token(end: int) -> int:
            return int(offset + encoded.char_to_token(lead + end - 1))

        for number, (link, tag) in enumerate(zip(links, tags, strict=True)):
            name = asked.names[link.mention.type]
            exercise.add(self._encode("\n") if number else [], learned=True)
            before, cue = exercise.position - 1, token(link.words.cue_end)
            if link.look_at:
                exercise.targets.append(Target("look", cue, tuple(first_image + token for token in link.look_at)))
            exercise.targets.append(Target("link", before, (cue,)))
            if link.words.telling:
                exercise.targets.append(Target("read", before, tuple(token(end) for end in link.words.telling)))
            if asked.definitions is not None:
                exercise.targets.append(Target("name", before, (asked.definitions[link.mention.type],)))
            exercise.decisive.append((len(exercise.ids), f"renamed: {tag}" if asked.renamed else tag))
            line = f"{name}: {text[link.mention.start : link.mention.end]}{boxes[number] if boxes else ''}"
            exercise.add(self._encode(line if number else " " + line), learned=True)
        if not links:
            exercise.add(self._encode(" none"), learned=True)
        exercise.add(self._end, learned=True)
        return exercise

    def questions(self, index: int, count: int = 6) -> Exercise:
        """What is at a place, of a colour, over some letters: several turns about one picture."""
        exercise = Exercise("questions", (), picture=index)
        exercise.add([*self._start, *self._image])
        first_image = len(self._start) + 2
        for number in range(count):
            cue, kind, shown = self._question(self.posts[index])
            exercise.add(self._next if number else [])
            exercise.add(self._encode(f"What is {cue}"))
            if shown is not None:
                query = exercise.position - 1
                exercise.targets.append(Target("look", query, tuple(first_image + token for token in _cells(shown))))
            exercise.add([*self._encode("?"), *self._turn])
            if shown is not None:
                exercise.targets.append(Target("link", exercise.position - 1, (query,)))
            exercise.decisive.append((len(exercise.ids), f"question {kind}"))
            exercise.add([*self._encode(" " + self._definition(index, shown)), *self._end], learned=True)
        return exercise

    def _definition(self, index: int, shown: Shown | None) -> str:
        return "none" if shown is None else self.posts[index].synthesis.domain.types[shown.type].definition

    def _question(self, post: Post) -> tuple[str, str, Shown | None]:
        rng = self.rng
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

    def describe(self, index: int) -> Exercise:
        """All objects of the picture, place by place."""
        exercise = Exercise("describe", (), picture=index)
        exercise.add([*self._start, *self._image, *self._encode("Describe the picture."), *self._turn])
        post = self.posts[index]
        lines = []
        for shown in sorted(post.objects, key=lambda each: each.cell):
            written = f" {shown.letters}" if shown.letters else ""
            what = f"{self._definition(index, shown)} {shown.drawing}"
            lines.append(f" {COLOURS[shown.colour]} {what} {post.synthesis.places[shown.cell]}{written}")
        exercise.add([*self._encode("\n".join(lines)), *self._end], learned=True)
        return exercise

    def repeat(self) -> Exercise:
        """Copying: words of random syllables, or random tokens."""
        rng, exercise = self.rng, Exercise("repeat", ())
        exercise.add(self._encode("<|im_start|>User: Post: "))
        if rng.random() < 0.5:
            words = [rng.choice((str.title, str.lower))(word(rng, "train")) for _ in range(rng.randint(4, 12))]
            ids = self._encode(" " + " ".join(words))
        else:
            ids = [rng.randrange(60, len(self._tokenizer)) for _ in range(rng.randint(6, 20))]
        exercise.add([*ids, *self._turn])
        exercise.add([*ids, *self._end], learned=True)
        return exercise

    def define(self, domain: Domain) -> Exercise:
        """Text alone: which label has a definition, for labels that mean nothing."""
        names = self.random_names(len(domain.types))
        order = self.rng.sample(range(len(names)), len(names))
        asked = self.ask(domain, names=names, defined=True, order=order)
        exercise = Exercise("define", (), targets=list(asked.targets))
        exercise.add(asked.prefix)
        assert asked.definitions is not None
        for number, index in enumerate(self.rng.sample(order, len(order))):
            exercise.add(self._next if number else [])
            exercise.add([*self._encode(f"What is {domain.types[index].definition}?"), *self._turn])
            exercise.targets.append(Target("name", exercise.position - 1, (asked.definitions[index],)))
            exercise.decisive.append((len(exercise.ids), "define"))
            exercise.add([*self._encode(" " + names[index]), *self._end], learned=True)
        return exercise

    # -- which post

    def pick(self, which: str) -> int:
        """A post: ``any``, with ``several`` objects, with ``lettered`` ones, or with any ``shown``."""
        pools = {"several": self._several, "lettered": self._lettered, "shown": self._shown}
        return self.rng.choice(pools[which]) if which in pools else self.rng.randrange(len(self.posts))


@dataclass(frozen=True)
class _Words:
    """Where the words stand that matter for a mention, as ends: those that link it, and those that tell its type."""

    cue_end: int
    telling: tuple[int, ...]

    @classmethod
    def of(cls, post: Post, mention: Mention) -> _Words:
        telling = []
        if mention.affix is not None:
            surface = post.text[mention.start : mention.end]
            in_front = surface.lower().startswith(mention.affix.lower())
            telling.append(mention.start + len(mention.affix.rstrip()) if in_front else mention.end)
        if mention.phrase is not None:
            telling.append(_phrase_end(post.text, mention))
        return cls(mention.cue_end, tuple(telling))


@dataclass(frozen=True)
class _Link:
    """A mention, the image tokens that its linking words ought to look at, and where its words stand."""

    mention: Mention
    look_at: tuple[int, ...]
    words: _Words


def _phrase_end(text: str, mention: Mention) -> int:
    """Where the words that point to a type end: right before the mention, or after it."""
    phrase = str(mention.phrase).lower()
    before = text[: mention.start].lower().rfind(phrase)
    after = text[mention.end :].lower().find(phrase)
    # The nearer one is meant: another mention may have the same words.
    distance = mention.start - (before + len(phrase)) if before >= 0 else len(text)
    if after >= 0 and after < distance:
        return mention.end + after + len(phrase)
    return before + len(phrase)


def _cells(shown: Shown) -> tuple[int, ...]:
    """The image tokens of an object's quadrant."""
    return tuple(token for token in range(NUM_IMAGE_TOKENS) if quadrant(token) == shown.cell)


# The token right before those of the picture: where to look if nothing in the picture is meant.
_NOWHERE = (-1,)


def _cells_to_look_at(post: Post, mention: Mention, seen: Sequence[Shown], *, own: bool) -> tuple[int, ...]:
    """The image tokens that the words of a mention lead to; none where the picture does not decide.

    Args:
        post: The post of the mention.
        mention: The mention.
        seen: The objects of the picture that is shown.
        own: Whether this is the picture of the post.
    """
    unlinked = len(post.mentions) > 1 and mention.cue == "none"
    if own and mention.shown is not None:
        return () if unlinked else _cells(post.objects[mention.shown])
    if mention.cue == "colour":
        fits = any(each.colour == mention.says and not each.letters for each in seen)
    elif mention.cue == "place":
        fits = any(each.cell == mention.says and not each.letters for each in seen)
    else:
        fits = len(seen) == len(post.mentions) and any(each.letters in (None, letters(mention.core)) for each in seen)
    return () if fits or not seen else _NOWHERE


def _box(post: Post, mention: Mention, *, own: bool) -> str:
    """The box of a mention as a grounded answer writes it."""
    if mention.shown is None or not own:
        return " []"
    scene = draw_scene(post)
    return f" {list(to_model_units(scene.boxes[mention.shown], scene.image.size, BoxConvention()))}"


def _slice(post: Post, mention: Mention, picture: str) -> str:
    """The name under which a mention is counted in the log."""
    told = "told" if mention.affix or mention.phrase else "untold"
    if picture != "own":
        return f"{picture} {told}"
    if not post.related:
        return f"unrelated {told}"
    return f"one {mention.cue}" if len(post.mentions) == 1 else f"several {mention.cue}"
