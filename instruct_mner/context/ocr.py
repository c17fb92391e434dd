"""The text that stands in pictures, by Tesseract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instruct_mner.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image

# Percent; below it, words of photographs are mostly none.
_LEAST_CONFIDENCE = 60.0
_TIMEOUT_SECONDS = 60


class TextReader:
    """Reads pictures.

    Args:
        languages: Tesseract's names, joined with ``+``: ``eng+chi_sim``.

    Raises:
        ConfigError: Tesseract, its Python package or a language is not installed.
    """

    def __init__(self, languages: str = "eng") -> None:
        try:
            import pytesseract
        except ImportError:
            raise ConfigError("--ocr needs pytesseract: pip install 'instruct-mner[ocr]'") from None
        try:
            known = set(pytesseract.get_languages(config=""))
        except pytesseract.TesseractNotFoundError:
            raise ConfigError("--ocr needs the program tesseract: apt-get install tesseract-ocr") from None
        missing = [language for language in languages.split("+") if language not in known]
        if missing:
            raise ConfigError(
                f"--ocr-languages {languages}: tesseract has no {', '.join(missing)}, only {', '.join(sorted(known))}; "
                "install it, on Debian as tesseract-ocr-LANGUAGE"
            )
        self._languages = languages
        self._pytesseract = pytesseract

    def read(self, picture: Image) -> str | None:
        """Return its words from top to bottom, joined by spaces; ``None`` without any, or after a minute."""
        pytesseract = self._pytesseract
        try:
            recognised = pytesseract.image_to_data(
                picture, lang=self._languages, timeout=_TIMEOUT_SECONDS, output_type=pytesseract.Output.DICT
            )
        except RuntimeError as error:
            if isinstance(error, pytesseract.TesseractError):
                return None  # a picture of a few pixels
            if "timeout" in str(error).lower():
                return None
            raise
        pairs = zip(recognised["text"], recognised["conf"], strict=True)
        words = [word.strip() for word, confidence in pairs if float(confidence) >= _LEAST_CONFIDENCE and word.strip()]
        return " ".join(words) or None
