"""The text that stands in pictures, by Tesseract."""

from __future__ import annotations

from typing import TYPE_CHECKING

from instruct_mner.errors import ConfigError, DataError, shortened

if TYPE_CHECKING:
    from PIL.Image import Image

# Percent; below it, words of photographs are mostly none.
_LEAST_CONFIDENCE = 60.0
_TIMEOUT_SECONDS = 60
# Pixels. Smaller pictures hold no legible letter, and of those of a few pixels Tesseract makes an error.
_LEAST_SIDE = 8


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
        """Return its words from top to bottom, joined by spaces; ``None`` without any.

        Raises:
            DataError: Tesseract fails, or takes longer than a minute.
        """
        pytesseract = self._pytesseract
        if min(picture.size) < _LEAST_SIDE:
            return None
        try:
            recognised = pytesseract.image_to_data(
                picture, lang=self._languages, timeout=_TIMEOUT_SECONDS, output_type=pytesseract.Output.DICT
            )
        except RuntimeError as error:  # TesseractError is one, and a timeout is no more than that
            reason = error.message if isinstance(error, pytesseract.TesseractError) else str(error)
            raise DataError(f"tesseract cannot read the picture ({shortened(reason)})") from None
        pairs = zip(recognised["text"], recognised["conf"], strict=True)
        words = [word.strip() for word, confidence in pairs if float(confidence) >= _LEAST_CONFIDENCE and word.strip()]
        return " ".join(words) or None
