"""The look of a page for screenshots: colours, fonts, corners and distances, as CSS.

The trap: the page is drawn into #root, whose size is that of the picture; what does not fit is cut off, as in a window.
"""

from dataclasses import dataclass

import numpy as np

from vl2.synth.langs import Language
from vl2.synth.values import chance, pick


@dataclass(frozen=True)
class _Colours:
    """CSS colours."""

    accent: str
    page: str
    card: str
    text: str
    soft: str
    line: str
    bar: str
    on_bar: str
    link: str


def _colours(rng: np.random.Generator) -> _Colours:
    """A light or a dark set around one hue."""
    hue = int(rng.integers(360))
    accent = f"hsl({hue},{int(rng.integers(45, 85))}%,{int(rng.integers(32, 50))}%)"
    dark = chance(rng, 0.25)
    if dark:
        page, card, line = f"hsl({hue},10%,11%)", f"hsl({hue},10%,16%)", f"hsl({hue},8%,27%)"
        text, soft = "#eceff2", "#9aa4ae"
    else:
        page, card, line = f"hsl({hue},{int(rng.integers(0, 30))}%,{int(rng.integers(95, 100))}%)", "#fff", "#d8dde2"
        text, soft = "#1d2228", "#66707a"
        card = page if chance(rng, 0.2) else card
    bar = pick(rng, (accent, card, card if dark else text))
    on_bar = text if bar == card else page if bar == text else "#fff"
    return _Colours(accent, page, card, text, soft, line, bar, on_bar, "#7db7ff" if dark else accent)


def theme(lang: Language, width: int, height: int) -> str:
    """The style sheet of one page."""
    rng = lang.rng
    c = _colours(rng)
    plain, heavy = lang.font_file("sans"), lang.font_file("sans")
    size = rng.uniform(12.5, 16) + (1 if lang.zh else 0)
    radius = pick(rng, (0, 3, 5, 8, 14, 20))
    shadow = "box-shadow:0 2px 8px rgba(0,0,0,.12)" if chance(rng, 0.4) else ""
    columns = 1 if width < 420 else int(rng.integers(2, 4))
    row, pad, gap = (int(rng.integers(3, 8)) for _ in range(3))
    icon = int(size * 1.25)
    return f"""
@font-face{{font-family:P;src:url('file://{plain}')}}
@font-face{{font-family:H;src:url('file://{heavy}')}}
*{{box-sizing:border-box;margin:0}}
body{{background:#888}}
#root{{width:{width}px;height:{height}px;overflow:hidden;position:relative;display:flex;flex-direction:column;
 background:{c.page};color:{c.text};font:{size:.1f}px/1.4 P,sans-serif}}
h1{{font:{size * rng.uniform(1.3, 1.8):.1f}px/1.2 H;margin-bottom:{2 * gap}px}}
h2{{font:{size * 1.1:.1f}px H;margin-bottom:6px}}
h1,h2,.big,.pic{{width:fit-content}}
.big{{font:{size * 1.7:.1f}px H}}
.bar{{display:flex;align-items:center;gap:{6 + 2 * gap}px;padding:{4 + row}px 14px;background:{c.bar};color:{c.on_bar};
 border-bottom:1px solid {c.line}}}
.brand{{font:{size * 1.25:.1f}px H;white-space:nowrap}}
.grow{{flex:1}}
.mid{{display:flex;flex:1;min-height:0}}
nav{{width:{int(rng.integers(120, 180))}px;border-right:1px solid {c.line};padding:8px;background:{c.card}}}
nav a{{display:flex;gap:8px;align-items:center;padding:{row}px 8px;border-radius:{radius}px;color:{c.text}}}
nav a.on,.tab.on{{background:{c.accent};color:#fff}}
main{{flex:1;padding:{int(rng.integers(10, 22))}px;overflow:hidden}}
.card{{background:{c.card};border:1px solid {c.line};border-radius:{radius}px;padding:10px 12px;margin-bottom:10px;
 {shadow}}}
button{{font:inherit;padding:{pad}px {6 + 2 * pad}px;border-radius:{radius}px;border:1px solid {c.accent};
 background:{c.card};color:{c.link};white-space:nowrap}}
button.main{{background:{c.accent};color:#fff}}
button.icon{{padding:4px;border:none;background:none;color:inherit;display:inline-flex}}
i{{display:inline-block;width:{icon}px;height:{icon}px;background:currentColor;mask-size:contain;
 -webkit-mask-size:contain;-webkit-mask-repeat:no-repeat}}
.row{{display:flex;gap:10px;align-items:center;flex-wrap:wrap}}
.soft{{color:{c.soft}}}
label.f{{display:block;margin-bottom:{gap + 2}px}}
label.f span{{display:block;color:{c.soft}}}
.in{{display:block;width:100%;font:inherit;padding:4px 8px;border:1px solid {c.line};white-space:nowrap;overflow:hidden;
 border-radius:{min(radius, 8)}px;background:{c.page};color:{c.text};min-height:{int(size * 1.9)}px}}
label.f span.in{{color:{c.text}}}
.in.ph,label.f span.in.ph{{color:{c.soft}}}
table{{border-collapse:collapse;width:100%}}
td,th{{text-align:left;padding:4px 8px;border-bottom:1px solid {c.line};font-weight:normal}}
th{{color:{c.soft}}}
.grid{{display:grid;grid-template-columns:repeat({columns},1fr);gap:10px}}
.grid .card{{margin:0}}
.sw{{width:34px;height:18px;border-radius:9px;background:{c.line};position:relative;display:inline-block;flex:none}}
.sw.on{{background:{c.accent}}}
.sw:after{{content:'';position:absolute;left:2px;top:2px;width:14px;height:14px;border-radius:7px;background:#fff}}
.sw.on:after{{left:18px}}
.ck{{width:15px;height:15px;border:1.5px solid {c.soft};border-radius:3px;display:inline-block;position:relative;
 flex:none}}
.ck.on{{background:{c.accent};border-color:{c.accent}}}
.ck.on:after{{content:'';position:absolute;left:4px;top:0;width:4px;height:8px;border:solid #fff;
 border-width:0 2px 2px 0;transform:rotate(45deg)}}
.tab{{padding:4px 12px;border-radius:{radius}px}}
.veil{{position:absolute;inset:0;background:rgba(0,0,0,.45);display:flex;align-items:center;justify-content:center}}
.veil .card{{width:70%;padding:16px}}
.foot{{display:flex;justify-content:space-around;padding:8px;border-top:1px solid {c.line};background:{c.card}}}
a{{color:{c.link}}}
img{{width:{int(rng.integers(34, 60))}px;display:block}}
.list{{display:flex;gap:10px;padding:6px 0;border-bottom:1px solid {c.line};align-items:center}}
.dot{{flex:none;width:26px;height:26px;border-radius:13px}}
"""
