"""Names of tokens: the journal tells people apart by them, so no two may look alike. Pure."""

import unicodedata

LONGEST_NAME = 64

_INVISIBLE = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2800, 0x2800),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0100, 0xE01EF),
)
"""Characters that count as printable and show nothing, such as fillers and variation selectors."""

_CYRILLIC = (
    "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445"
    "\u0455\u0456\u0458\u04bb\u0501\u051b\u051d"
)
_GREEK = (
    "\u03b1\u03b2\u03b5\u03b6\u03b7\u03b9\u03ba\u03bc\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b3"
)
_LOOK_ALIKES = str.maketrans(_CYRILLIC + _GREEK, "abekmhopctyxsijhdqw" + "abezhikmnoptuxy")
"""Letters that look like Latin ones, in lower case or in upper case; NFKC keeps them apart."""


def is_readable(name: str, longest: int = LONGEST_NAME) -> bool:
    """Return whether a name has 1 to `longest` characters, all of which can be seen."""
    return (
        0 < len(name) <= longest
        and name.isprintable()
        and not any(first <= ord(letter) <= last for letter in name for first, last in _INVISIBLE)
        and unicodedata.category(name[0])[0] != "M"  # a mark would join what is before the name
    )


def likeness(name: str) -> str:
    """Return the form in which two names that look alike are equal.

    Case, width, ligatures and the like are folded (NFKC, case folding), and so are accents that can
    be written in two ways, letters of Cyrillic and Greek that look Latin, and repeated blanks.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).translate(_LOOK_ALIKES).split())
