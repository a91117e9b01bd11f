"""Where the points of a page end up on a photograph of it, and which point of the page a pixel shows.

    page --Bend: columns slide down, rows slide right--> bent page --homography--> photograph
    Lens.forward(points), Lens.inverse(points), Lens.move_boxes(boxes)        fit_lens chooses one

Both slides are functions of the other coordinate, so that the way back is exact, too. The trap: pixels of images are
taken at their centres, boxes are edges; a pixel (0, 0) is the point (0.5, 0.5).
"""

import math
from dataclasses import dataclass

import numpy as np

_KNOTS = 65


@dataclass(frozen=True)
class Bend:
    """down: how far each column slides down, right: how far each row slides right, in pixels at 65 places."""

    down: np.ndarray
    right: np.ndarray

    @staticmethod
    def flat() -> "Bend":
        return Bend(np.zeros(_KNOTS), np.zeros(_KNOTS))

    @staticmethod
    def draw(rng: np.random.Generator, width: int, height: int, strength: float) -> "Bend":
        """A curl as of a book's page, a wave, or creases with flat parts between."""
        places = np.linspace(0, 1, _KNOTS)
        profiles = []
        for length in (height, width):
            kind = rng.random()
            amount = strength * length * rng.uniform(0.004, 0.03) * (1 if rng.random() < 0.5 else -1)
            if kind < 0.35:
                profile = np.zeros(_KNOTS)
            elif kind < 0.6:
                profile = (
                    amount * 1.6 * np.exp(-(places if rng.random() < 0.5 else 1 - places) / rng.uniform(0.12, 0.4))
                )
            elif kind < 0.8:
                profile = amount * np.sin(2 * math.pi * (places * rng.uniform(0.4, 1.3) + rng.random()))
            else:
                creases = np.sort(rng.uniform(0.15, 0.85, int(rng.integers(1, 4))))
                knots = np.concatenate([[0.0], creases, [1.0]])
                profile = np.interp(places, knots, amount * rng.uniform(-0.7, 0.7, len(knots)))
            profiles.append(profile - profile.mean())
        return Bend(profiles[0], profiles[1])


@dataclass(frozen=True)
class Lens:
    """A page of `page` (width, height) pixels, bent, and seen through the 3x3 `homography`."""

    page: tuple[int, int]
    bend: Bend
    homography: np.ndarray

    def _slide(self, profile: np.ndarray, places: np.ndarray, length: int) -> np.ndarray:
        return np.interp(places, np.linspace(0, length, _KNOTS), profile)

    def forward(self, points_P2: np.ndarray) -> np.ndarray:
        """(P, 2) points of the page -> points of the photograph."""
        x, y = points_P2[:, 0], points_P2[:, 1]
        y = y + self._slide(self.bend.down, x, self.page[0])
        x = x + self._slide(self.bend.right, y, self.page[1])
        return _project(self.homography, np.stack([x, y], 1))

    def inverse(self, points_P2: np.ndarray) -> np.ndarray:
        """(P, 2) points of the photograph -> points of the page."""
        bent = _project(np.linalg.inv(self.homography), points_P2)
        x = bent[:, 0] - self._slide(self.bend.right, bent[:, 1], self.page[1])
        y = bent[:, 1] - self._slide(self.bend.down, x, self.page[0])
        return np.stack([x, y], 1)

    def outlines(self, boxes_M4: np.ndarray) -> np.ndarray:
        """Boxes (M, 4) of the page -> boxes around what they hold on the photograph."""
        if len(boxes_M4) == 0:
            return boxes_M4.astype(np.float32)
        steps = np.linspace(0, 1, 6)
        edge = np.concatenate([
            np.stack([steps, 0 * steps], 1), np.stack([steps, 0 * steps + 1], 1),
            np.stack([0 * steps, steps], 1)[1:-1], np.stack([0 * steps + 1, steps], 1)[1:-1],
        ])  # fmt: skip
        size = boxes_M4[:, None, 2:] - boxes_M4[:, None, :2]
        points = (boxes_M4[:, None, :2] + edge[None] * size).reshape(-1, 2)
        moved = self.forward(points.astype(np.float64)).reshape(len(boxes_M4), len(edge), 2)
        return np.concatenate([moved.min(1), moved.max(1)], 1).astype(np.float32)

    def cells(self, boxes_M4: np.ndarray) -> np.ndarray:
        """Boxes (M, 4) -> boxes about the moved centres, as wide and high as the moved middle lines are long.

        What small marks want: the box around a turned glyph would reach into its neighbours.
        """
        if len(boxes_M4) == 0:
            return boxes_M4.astype(np.float32)
        x0, y0, x1, y1 = boxes_M4.T.astype(np.float64)
        xm, ym = (x0 + x1) / 2, (y0 + y1) / 2
        points = np.concatenate([np.stack(pair, 1) for pair in ((x0, ym), (x1, ym), (xm, y0), (xm, y1))])
        left, right, top, bottom = self.forward(points).reshape(4, -1, 2)
        middle = (left + right + top + bottom) / 4
        half = np.stack([np.hypot(*(right - left).T), np.hypot(*(bottom - top).T)], 1) / 2
        return np.concatenate([middle - half, middle + half], 1).astype(np.float32)

    def pixel_map(self, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """(height, width) float32 columns and rows of the page's pixels that a photograph's pixels show.

        Computed at every eighth pixel and filled in between, which errs by less than a tenth of a pixel.
        """
        import cv2

        step = 8
        columns, rows = -(-width // step) + 2, -(-height // step) + 2
        x = (np.arange(columns) - 0.5) * step
        y = (np.arange(rows) - 0.5) * step
        grid = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
        found = (self.inverse(grid) - 0.5).astype(np.float32).reshape(rows, columns, 2)
        full = cv2.resize(found, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
        full = full[step : step + height, step : step + width]
        return np.ascontiguousarray(full[..., 0]), np.ascontiguousarray(full[..., 1])


def _project(homography: np.ndarray, points_P2: np.ndarray) -> np.ndarray:
    x, y = points_P2[:, 0], points_P2[:, 1]
    depth = homography[2, 0] * x + homography[2, 1] * y + homography[2, 2]
    return np.stack(
        [
            (homography[0, 0] * x + homography[0, 1] * y + homography[0, 2]) / depth,
            (homography[1, 0] * x + homography[1, 1] * y + homography[1, 2]) / depth,
        ],
        1,
    )


def _view(page: tuple[int, int], angles: np.ndarray, distance: float) -> np.ndarray:
    """The homography of a page seen from `distance` (in diagonals) with (roll, pitch, yaw) in degrees."""
    roll, pitch, yaw = np.radians(angles)
    turn = (
        np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
        @ np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
        @ np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    )
    reach = distance * math.hypot(*page)
    centre = np.array([[1, 0, -page[0] / 2], [0, 1, -page[1] / 2], [0, 0, 1.0]])
    flat = np.stack([turn[:, 0], turn[:, 1], np.array([0, 0, reach])], 1)
    camera = np.diag([reach, reach, 1.0])
    return camera @ flat @ centre


def fit_lens(
    page: tuple[int, int], bend: Bend, angles: np.ndarray, distance: float, scale: float, margins: np.ndarray
) -> tuple[Lens, tuple[int, int]]:
    """The lens whose smallest part of the page is shown `scale` times as large, and (width, height) of the photograph.

    margins: (4,) room left, above, right and below the page, as shares of its size; negative ones cut the page.
    """
    lens = Lens(page, bend, _view(page, angles, distance))
    width, height = page
    steps = np.linspace(0, 1, 9)
    grid = np.stack(np.meshgrid(steps * width, steps * height), -1).reshape(-1, 2)
    near = lens.forward(grid)
    across, down = lens.forward(grid + np.array([1, 0])) - near, lens.forward(grid + np.array([0, 1])) - near
    area = np.abs(across[:, 0] * down[:, 1] - across[:, 1] * down[:, 0])
    zoom = scale / math.sqrt(float(area.min()))
    low, high = near.min(0) * zoom, near.max(0) * zoom
    size = high - low
    start = low - margins[:2] * size
    frame = np.ceil(size * (1 + margins[:2] + margins[2:])).astype(int)
    move = np.array([[zoom, 0, -start[0]], [0, zoom, -start[1]], [0, 0, 1.0]])
    return Lens(page, bend, move @ lens.homography), (int(frame[0]), int(frame[1]))
