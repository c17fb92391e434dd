"""Training samples of the starter's decoder: short prompts and answers as token ids, made from synthetic posts.

Each sample says which tokens count in the loss, and to which tokens the decoder should attend: the chain from a name to
its type is supervised hop by hop, in heads of neighbouring layers. The saved model holds the weights alone.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eval.starter_training.architecture import tokens_per_side
from eval.starter_training.attention_targets import Link, WordEnds, box_answer, cells, cells_to_look_at, slice_name
from eval.starter_training.samples import LabelSetPrompt, Sample, Target
from instruct_mner.answers.spec import AnswerSpec
from instruct_mner.prompting.conversation import answer_messages, instruction_text, post_text, user_messages
from instruct_mner.prompting.templates import find_prompt
from instruct_mner.schema.labels import LabelSet
from instruct_mner.synthetic.label_sets import Domain
from instruct_mner.synthetic.posts import SyntheticPost
from instruct_mner.synthetic.settings import COLOURS, DrawnMention
from instruct_mner.synthetic.vocabulary import clause, word
from instruct_mner.testing import idefics


class SampleMaker:
    """Maker of training samples.

    Args:
        tokenizer: Tokenizer of the model.
        posts: Posts of one level that the samples are made from; ``picture`` of a sample is an index into these.
        seed: Seed of all random choices.
        template: Chat template of the model; the starter's by default.
        box_step: Number of thousandths of the picture that coordinates of boxes are multiples of.
    """

    def __init__(
        self,
        tokenizer: Any,
        posts: Sequence[SyntheticPost],
        seed: int,
        template: str = idefics.VOCABULARY.chat_template,
        box_step: int = 1,
    ) -> None:
        self.posts = posts
        self.box_step = box_step
        self.rng = random.Random(seed)
        self.tokenizer = tokenizer
        self._prompts = {False: find_prompt("tag"), True: find_prompt("tag-grounded")}
        around, tile, image, *_ = tokenizer.convert_tokens_to_ids(
            ["<fake_token_around_image>", "<global-img>", "<image>"]
        )
        self.image = [around, tile, *[image] * tokens_per_side(posts[0].synthesis.level) ** 2, around]
        frame = _ChatFrame.of(tokenizer, template)
        self.opening = frame.opening
        self._lead = frame.lead
        self.start = self.encode(frame.opening.rstrip(" "))
        self.turn = self.encode(frame.turn)
        self.end = self.encode(frame.end)
        self.next = self.encode(frame.next)
        self._with_objects = [index for index, post in enumerate(posts) if post.objects]
        self._pools: dict[tuple[str, str], list[int]] = defaultdict(list)
        for index, post in enumerate(posts):
            several = len(post.objects) > 1
            lettered = several and any(each.letters for each in post.objects)
            which = {"any": True, "several": several, "lettered": lettered, "shown": bool(post.objects)}
            for name in (name for name, belongs in which.items() if belongs):
                self._pools[name, post.synthesis.domain.name].append(index)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    # -- how a label set is prompt for

    def ask(
        self,
        domain: Domain,
        *,
        order: Sequence[int],
        names: Sequence[str] | None = None,
        defined: bool = False,
        grounded: bool = False,
    ) -> LabelSetPrompt:
        """Return the prompt of a label set up to the picture.

        Args:
            domain: Domain of the types.
            order: Order of the types in the prompt.
            names: Other names of the types.
            defined: Whether the prompt holds the definitions.
            grounded: Whether the answer has boxes.
        """
        label_names = tuple(names or (each.name for each in domain.types))
        rows = {label_names[index]: domain.types[index].definition for index in order}
        spec = AnswerSpec(labels=LabelSet.of(rows if defined else list(rows)), grounded=grounded)
        text = self.opening + instruction_text(user_messages(self._prompts[grounded], spec, "", 0))
        encoded = self.tokenizer(text, add_special_tokens=False)
        definitions, targets = None, []
        if defined:
            definitions = tuple(0 for _ in label_names)
            places = list(definitions)
            for index, name in enumerate(label_names):
                written = f"{name} ({domain.types[index].definition})"
                at = text.rindex(written)
                places[index] = encoded.char_to_token(at + len(written) - 2)
                targets.append(Target("define", places[index], (encoded.char_to_token(at),)))
            definitions = tuple(places)
        prefix = tuple(encoded.input_ids)
        return LabelSetPrompt(
            domain, label_names, spec, prefix, definitions, tuple(targets), grounded, names is not None
        )

    def random_names(self, count: int) -> list[str]:
        """Return names of labels that mean nothing; they begin with different letters."""
        names: dict[str, None] = {}
        while len(names) < count:
            each = word(self.rng, "train")[: self.rng.randint(2, 7)]
            if each[0] in {name[0].lower() for name in names}:
                continue
            names[self.rng.choice((each, each.upper(), each.upper(), each.title()))] = None
        return list(names)

    def tag(self, index: int, prompt: LabelSetPrompt, *, picture: str = "own") -> Sample:
        """Return a whole post as a sample: its mentions, each with its type.

        Args:
            index: Index of the post.
            prompt: Prompt of the label set.
            picture: ``own``, ``none`` for a prompt without a picture, or ``other`` for that of another post.
        """
        post = self.posts[index]
        pictured = {"own": index, "other": self.rng.choice(self._with_objects), "none": None}[picture]
        seen = () if pictured is None else self.posts[pictured].objects
        links = [
            Link(each, cells_to_look_at(post, each, seen, own=picture == "own"), WordEnds.of(post, each))
            for each in post.mentions
        ]
        tags = [slice_name(post, each.mention, picture) for each in links]
        own = picture == "own"
        boxes = [box_answer(post, each.mention, own=own, step=self.box_step) for each in links]
        return self._answered(
            "grounded" if prompt.grounded else "tag",
            post.text,
            links,
            tags,
            prompt,
            pictured,
            boxes if prompt.grounded else None,
        )

    def linked(self, index: int, prompt: LabelSetPrompt) -> Sample:
        """Return a short text for the picture of a post, in which every name is linked to its object."""
        post, rng = self.posts[index], self.rng
        text, links, tags = "", [], []
        separator = rng.choice((" . ", " ! ", " , ", " ... ", " & "))
        for item in rng.sample(post.objects, len(post.objects)):
            around = clause(rng, "train") if rng.random() < 0.4 else None
            core = word(rng, "train")
            if item.letters:
                core = item.letters.lower() + core[2:]
            name = core.title() + (" " + word(rng, "train").title() if rng.random() < 0.3 else "")
            kind = "letters" if item.letters else rng.choice(("colour", "place"))
            says = {"colour": COLOURS[item.colour], "place": post.synthesis.places[item.cell]}.get(kind)
            before, after = "", ""
            if says:
                before, after = rng.choice(((f"{says} ", ""), ("", f" ( {says} )"), ("", f" in {says}")))
            text += (separator if text else "") + (around.before if around else "") + before
            start, end = len(text), len(text) + len(name)
            text += name + after + (around.after if around else "")
            cue_end = start - 1 if before else end + len(after.removesuffix(" )")) if after else start + 2
            mention = DrawnMention(start, end, item.type, core, None, None, kind, None, cue_end, None)
            links.append(Link(mention, cells(item, post.synthesis.level), WordEnds(cue_end, ())))
            tags.append(f"linked {kind}")
        return self._answered("linked", text, links, tags, prompt, index)

    def _answered(
        self,
        kind: str,
        text: str,
        links: list[Link],
        tags: list[str],
        prompt: LabelSetPrompt,
        picture: int | None,
        boxes: list[str] | None = None,
    ) -> Sample:
        sample = Sample(kind, prompt.prefix, picture=picture)
        first_image = sample.position + 2
        if picture is not None:
            sample.add(self.image)
        num_images = int(picture is not None)
        body = post_text(user_messages(self._prompts[prompt.grounded], prompt.spec, text, num_images))
        encoded = self.tokenizer(body, add_special_tokens=False)
        offset, lead = sample.position, len(body) - len(text)
        sample.add(encoded.input_ids)
        sample.add(self.turn)

        def token(end: int) -> int:
            return int(offset + encoded.char_to_token(lead + end - 1))

        for number, (link, tag) in enumerate(zip(links, tags, strict=True)):
            name = prompt.names[link.mention.type]
            sample.add(self.encode("\n") if number else [], learned=True)
            before, cue = sample.position - 1, token(link.words.cue_end)
            if link.look_at:
                sample.targets.append(Target("look", cue, tuple(first_image + token for token in link.look_at)))
            sample.targets.append(Target("link", before, (cue,)))
            if link.words.telling:
                sample.targets.append(Target("read", before, tuple(token(end) for end in link.words.telling)))
            if prompt.definitions is not None:
                sample.targets.append(Target("name", before, (prompt.definitions[link.mention.type],)))
            sample.decisive.append((len(sample.ids), f"renamed: {tag}" if prompt.renamed else tag))
            line = ("" if number else self._lead) + f"{name}: {text[link.mention.start : link.mention.end]}"
            sample.add(self.encode(line), learned=True)
            if boxes is not None:
                where = self.add_box(sample, boxes[number], tag)
                sample.targets += _pointing(where, cue, [first_image + token for token in link.look_at if token >= 0])
        if not links:
            sample.add(self.encode(f"{self._lead}none"), learned=True)
        sample.add(self.end, learned=True)
        return sample

    def add_box(self, sample: Sample, box: str, name: str) -> range:
        """Append a box, or that there is none, as learned tokens.

        The token that tells the two apart counts more, as do the digits and what ends a number.

        Args:
            sample: Sample that is added to.
            box: Answer, such as " [5, 5, 44, 47]" or " []".
            name: Name of the mention, for the log.

        Returns:
            Positions in the whole sequence of the tokens before those of the answer.
        """
        first, ids = len(sample.ids), self.encode(box)
        for at, each in enumerate(ids):
            if self.tokenizer.decode([each]).strip():
                sample.decisive.append((first + at, f"{'box digits' if at else 'box or none'}, {name}"))
        sample.add(ids, learned=True)
        return range(sample.position - len(ids) - 1, sample.position - 1)

    def pick(self, which: str, domain: Domain) -> int:
        """Return a post: ``any``, with ``several`` objects, with ``lettered`` ones, or with at least one, ``shown``."""
        return self.rng.choice(self._pools[which, domain.name])


@dataclass(frozen=True)
class _ChatFrame:
    """What a chat template writes around prompts and answers.

    Attributes:
        opening: Text before the first prompt.
        turn: Text between a prompt and its answer.
        lead: Space between the two, which belongs to the first token of the answer.
        end: End of an answer, which is learned.
        next: Text between the end of an answer and a further prompt.
    """

    opening: str
    turn: str
    lead: str
    end: str
    next: str

    @classmethod
    def of(cls, tokenizer: Any, template: str) -> _ChatFrame:
        """Return the frame of a template."""
        question, answer = "\ue000", "\ue001"
        asked = {"role": "user", "content": [{"type": "text", "text": question}]}
        messages = [asked, *answer_messages(answer), asked]
        written = tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False)
        opening, between, _ = written.split(question)
        turn, after = between.split(answer)
        end = after.partition("\n")[0]
        return cls(opening, turn.rstrip(" "), turn[len(turn.rstrip(" ")) :], end, after.removeprefix(end))


def _pointing(where: Sequence[int], cue: int, look_at: Sequence[int]) -> list[Target]:
    """Return the targets of the tokens before each token of a box: the linking words, and the object."""
    if not look_at:
        return []
    return [Target(hop, at, tuple(keys)) for at in where for hop, keys in (("follow", (cue,)), ("point", look_at))]
