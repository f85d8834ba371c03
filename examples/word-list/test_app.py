"""pytest finds the asset by itself: nothing is deployed, and no variable is set."""

import app


def test_a_typing_error_is_mended():
    assert app.handler({"word": "vocabluary"}, None)["word"] == "vocabulary"
