"""Scripts that are written without spaces between words, and the particles that Korean writes onto a word."""

from __future__ import annotations

from bisect import bisect_right

# First and last code points. Source: Unicode 16, Blocks.txt, https://www.unicode.org/Public/16.0.0/ucd/Blocks.txt
_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, Khmer symbols
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x3005, 0x3007),  # ideographic iteration and closing marks, zero
    (0x3021, 0x3029),  # Hangzhou numerals
    (0x3031, 0x3035),  # kana repeat marks
    (0x3038, 0x303C),  # Hangzhou numerals, masu mark
    (0x3041, 0x312F),  # Hiragana, Katakana, Bopomofo
    (0x31A0, 0x31BF),  # Bopomofo extended
    (0x31F0, 0x31FF),  # Katakana phonetic extensions
    (0x3400, 0x4DBF),  # Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xA9E0, 0xA9FF),  # Myanmar extended B
    (0xAA60, 0xAA7F),  # Myanmar extended A
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF66, 0xFF9F),  # Katakana, half width
    (0x1AFF0, 0x1B16F),  # Kana, extended and supplement
    (0x20000, 0x3FFFF),  # Han, extensions B and later
)
_FIRST = [first for first, _ in _RANGES]
_LAST = [last for _, last in _RANGES]

# Particles that follow a noun. Source: National Institute of Korean Language, Standard Korean Dictionary,
# https://stdict.korean.go.kr, entries of the word class 조사; the frequent ones.
_PARTICLES = (
    "은", "는", "이", "가", "을", "를", "의", "에", "에서", "에게", "에게서", "와", "과", "도", "로", "으로",
    "로서", "으로서", "로써", "으로써", "로부터", "으로부터", "만", "까지", "부터", "처럼", "보다", "한테", "한테서",
    "께", "께서", "이나", "나", "이랑", "랑", "하고", "마다", "조차", "마저", "밖에", "이라고", "라고", "이라는",
    "라는", "이란", "란", "이든", "든", "이며", "며", "이여", "여", "아", "야", "대로", "만큼", "뿐", "같이",
    "이라도", "라도", "이다", "다", "입니다",
)  # fmt: skip
# Particles are put one after another ("에서" + "는"), hardly more than three.
_MOST_PARTICLES = 3
_LONGEST = max(map(len, _PARTICLES))
_PARTICLE_SET = frozenset(_PARTICLES)


def writes_no_spaces(character: str) -> bool:
    """Return true for a character of a script without spaces: Han, kana, Thai, Lao, Khmer, Burmese and their kin."""
    code = ord(character)
    if code < _FIRST[0]:
        return False
    index = bisect_right(_FIRST, code) - 1
    return code <= _LAST[index]


def is_hangul(character: str) -> bool:
    """Return true for a syllable of Hangul."""
    return "\uac00" <= character <= "\ud7a3"


def is_particles(ending: str) -> bool:
    """Return true for the ending of a Korean word that is one particle, or up to three in a row."""
    if len(ending) > _LONGEST * _MOST_PARTICLES:
        return False
    reached = {0}
    for _ in range(_MOST_PARTICLES):
        reached = {
            end
            for start in reached
            for end in range(start + 1, min(start + _LONGEST, len(ending)) + 1)
            if ending[start:end] in _PARTICLE_SET
        }
        if len(ending) in reached:
            return True
    return False
