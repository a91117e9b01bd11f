"""The npm packages that scripts/build_icons.py takes drawings from, with their licences and splits.

The trap: a set that is drawn after another (feather, of which lucide is a fork) must be in the same split as it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """One npm package: what it is, and which split its drawings go to."""

    style: str
    version: str
    licence: str
    author: str
    url: str
    split: str
    kind: str  # "emoji" (in its own colours) or "interface" (a mask)
    emoji_names: bool  # whether drawings without a prefix in icon_concepts.txt are looked for here
    note: str = ""  # what else its licence asks to be said

    @property
    def package(self) -> str:
        return f"@iconify-json/{self.style}"


SHARE_ALIKE = "these drawings stay under it, and so does a picture that shows one and is passed on"

SOURCES = (
    Source("noto", "1.2.9", "Apache-2.0", "Google Inc", "github.com/googlefonts/noto-emoji", "train", "emoji", True),
    Source("noto-v1", "1.2.5", "Apache-2.0", "Google Inc", "github.com/googlefonts/noto-emoji", "train", "emoji", True),
    Source(
        "fluent-emoji-flat", "1.2.6", "MIT", "Microsoft", "github.com/microsoft/fluentui-emoji", "train", "emoji", True
    ),
    Source("fluent-emoji", "1.2.7", "MIT", "Microsoft", "github.com/microsoft/fluentui-emoji", "train", "emoji", True),
    Source("emojione", "1.2.3", "CC-BY-4.0", "EmojiTwo", "github.com/EmojiTwo/emojitwo", "train", "emoji", True),
    Source("fxemoji", "1.2.2", "Apache-2.0", "Mozilla", "github.com/mozilla/fxemoji", "train", "emoji", True),
    Source(
        "twemoji", "1.2.5", "CC-BY-4.0", "Twitter, Inc and others", "github.com/jdecked/twemoji", "test", "emoji", True
    ),
    Source(
        "mdi",
        "1.2.3",
        "Apache-2.0",
        "Pictogrammers",
        "github.com/Templarian/MaterialDesign",
        "train",
        "interface",
        False,
    ),
    Source("tabler", "1.2.41", "MIT", "Paweł Kuna", "github.com/tabler/tabler-icons", "train", "interface", False),
    Source(
        "lucide", "1.2.137", "ISC", "Lucide Contributors", "github.com/lucide-icons/lucide", "test", "interface", False
    ),
    Source(
        "openmoji",
        "1.2.29",
        "CC-BY-SA-4.0",
        "OpenMoji",
        "github.com/hfg-gmuend/openmoji",
        "train",
        "emoji",
        True,
        SHARE_ALIKE,
    ),
    Source(
        "emojione-v1",
        "1.2.3",
        "CC-BY-SA-4.0",
        "EmojiOne",
        "github.com/joypixels/emojione-legacy",
        "train",
        "emoji",
        True,
        SHARE_ALIKE,
    ),
    Source(
        "streamline-emojis",
        "1.2.4",
        "CC-BY-4.0",
        "Streamline",
        "github.com/webalys-hq/streamline-vectors",
        "train",
        "emoji",
        True,
    ),
    Source(
        "emojione-monotone",
        "1.2.1",
        "CC-BY-4.0",
        "EmojiTwo",
        "github.com/EmojiTwo/emojitwo",
        "train",
        "interface",
        True,
    ),
    Source(
        "fluent-emoji-high-contrast",
        "1.2.6",
        "MIT",
        "Microsoft",
        "github.com/microsoft/fluentui-emoji",
        "train",
        "interface",
        True,
    ),
    Source(
        "game-icons",
        "1.2.4",
        "CC-BY-3.0",
        "Lorc, Delapouite and contributors",
        "github.com/game-icons/icons",
        "train",
        "interface",
        False,
    ),
    Source("ph", "1.2.2", "MIT", "Phosphor Icons", "github.com/phosphor-icons/core", "train", "interface", False),
    Source(
        "mingcute",
        "1.2.8",
        "Apache-2.0",
        "MingCute Design",
        "github.com/Richard9394/MingCute",
        "train",
        "interface",
        False,
    ),
    Source(
        "fa6-solid",
        "1.2.4",
        "CC-BY-4.0",
        "Fonticons, Inc (Font Awesome)",
        "github.com/FortAwesome/Font-Awesome",
        "train",
        "interface",
        False,
    ),
    Source(
        "ri", "1.2.10", "Apache-2.0", "Remix Design", "github.com/cyberalien/RemixIcon", "train", "interface", False
    ),
    Source(
        "solar",
        "1.2.13",
        "CC-BY-4.0",
        "480 Design",
        "www.figma.com/community/file/1166831539721848736",
        "train",
        "interface",
        False,
    ),
    Source(
        "carbon", "1.2.29", "Apache-2.0", "IBM", "github.com/carbon-design-system/carbon", "train", "interface", False
    ),
    Source("bi", "1.2.7", "MIT", "The Bootstrap Authors", "github.com/twbs/icons", "train", "interface", False),
)
