#include "tools/eval/sample_text.h"

namespace headwater::eval {

const std::string_view kSampleText =
    R"text(The ferry left the harbour at six, when the light was still grey and the gulls sat in rows on the sea wall. Only eleven
people were on board: two nurses on their way home from the night shift, a man with a crate of seedlings, a family that
had missed the boat of the evening before, and a girl of about fourteen who read a book about lighthouses and did not
look up once. The captain, who had made the crossing some nine thousand times, steered with one hand and held his tea in
the other. He said that the water was never the same twice, and that people who found it dull had not looked at it.

"How deep is it here?" the younger of the children asked.

"Forty metres," he said. "A little more when the tide is in. If you stood ten houses on top of each other, the last one
would just keep its chimney dry."

"And what is at the bottom?"

"Sand, mostly. Two anchors that I know of, and a piano."

How does a heat pump warm a house with air that is colder than the room? It does not make heat, it moves it. A liquid
that boils at a low temperature is let into the pipes outside. Even at minus ten degrees the air is warm enough to make it
boil, and in boiling it takes heat from the air. A compressor presses the vapour together, which makes it hot: sixty
degrees or so. Inside the house it gives that heat to the water of the radiators, turns into a liquid again, and flows
back through a valve, behind which the pressure drops and everything begins anew. For each unit of electricity that the
compressor takes, three or four units of heat arrive. The colder it is outside, the fewer they are.

```python
def moving_average(values, width):
    """Means of `width` neighbours; the result is shorter than `values` by width - 1."""
    if width < 1 or width > len(values):
        raise ValueError(f"width must be between 1 and {len(values)}, not {width}")
    total = sum(values[:width])
    means = [total / width]
    for new, old in zip(values[width:], values):
        total += new - old
        means.append(total / width)
    return means


assert moving_average([1, 2, 3, 4], 2) == [1.5, 2.5, 3.5]
```

| planet  | distance from the sun (million km) | days in a year | moons |
|---------|------------------------------------|----------------|-------|
| Mercury | 58                                 | 88             | 0     |
| Venus   | 108                                | 225            | 0     |
| Earth   | 150                                | 365            | 1     |
| Mars    | 228                                | 687            | 2     |

A train that travels 180 kilometres in an hour and a half is going at 120 kilometres an hour. If it leaves at 9:40 and
keeps that speed, it reaches a town 60 kilometres away at 10:10. A second train, which leaves half an hour later and goes
at 150 kilometres an hour, has 60 kilometres to make up and gains 30 of them each hour, so it draws level after two
hours, 300 kilometres from where both began.

To repot a plant that has grown too large: water it an hour before, so that the roots do not tear. Choose a pot that is
two fingers wider than the old one, not more, since wet soil without roots goes sour. Loosen the ball of roots with your
hands, cut off what is brown or soft, and put the plant as deep as it stood before. Fill the gaps, press gently, water
once more, and keep it out of the sun for a week.

Die Bibliothek öffnet um neun Uhr; wer früher kommt, wartet im Café gegenüber. La bibliothèque ferme à dix-huit heures,
sauf le jeudi. La biblioteca tiene más de cuarenta mil libros, y casi todos se pueden llevar a casa.

In the end the committee agreed on three things. The bridge would be repaired and not replaced, since its pillars were
sound. The work would begin in spring, after the floods, and one lane would stay open throughout. And the old name, which
nobody had liked when it was chosen, would stay as well, because by now nobody could imagine another.
)text";

}  // namespace headwater::eval
