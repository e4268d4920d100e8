"""What every picture must keep to."""

import itertools


def assert_nothing_overlaps(figure, panels, margin=0):
    """Panels with ticks, titles, legends and colour bars: nothing lies over anything else or outside the figure."""
    figure.draw_without_rendering()
    boxes = [axes.get_tightbbox() for axes in panels] + [figure._suptitle.get_window_extent()]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    frame = figure.bbox.padded(margin)
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1 for box in boxes)
    for axis in (axis for axes in panels for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        ticks = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        extents = [label.get_window_extent() for label in ticks if label.get_text() and label.get_rotation() == 0]
        assert not any(one.overlaps(other) for one, other in itertools.pairwise(extents))
