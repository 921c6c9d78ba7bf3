"""A browser without a display for the tests of pages: Qt WebEngine (Chromium) in a process of its own.

`pip install PyQt6-WebEngine` brings it; VGSLAM_BROWSER_PYTHON may name the Python of another environment that has it.
Run as a program it is that process: the page, the width and height of the window, and JavaScript, whose JSON it prints.
"""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

FLAGS = "--ignore-gpu-blocklist --enable-unsafe-swiftshader"
"""WebGL on a machine without a GPU."""
DARK = "--blink-settings=preferredColorScheme=0"
LONGEST_S = 300
"""What takes so long has hung."""


def browser_python() -> str | None:
    """The Python that has the browser; None where there is none."""
    named = os.environ.get("VGSLAM_BROWSER_PYTHON")
    if named:
        return named
    has_it = importlib.util.find_spec("PyQt6") is not None and importlib.util.find_spec("PyQt6.QtWebEngineWidgets")
    return sys.executable if has_it else None


def evaluated(page: Path, javascript: str, width: int = 1280, height: int = 800, flags: str = "") -> Any:
    """What the script gives on the page once it is loaded and drawn; it must be a value of JSON."""
    python = browser_python()
    assert python is not None
    environment = {
        **os.environ, "QT_QPA_PLATFORM": "offscreen", "QTWEBENGINE_DISABLE_SANDBOX": "1",
        "QTWEBENGINE_CHROMIUM_FLAGS": f"{FLAGS} {flags}".strip(),
    }  # fmt: skip
    environment.pop("PYTHONPATH", None)
    command = [python, str(Path(__file__).resolve()), str(page), str(width), str(height), javascript]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stderr
    return json.loads(lines[-1].removeprefix("RESULT "))


def _main(page: str, width: str, height: str, javascript: str) -> None:
    from PyQt6.QtCore import QTimer, QUrl
    from PyQt6.QtWebEngineWidgets import QWebEngineView
    from PyQt6.QtWidgets import QApplication

    app = QApplication(sys.argv[:1])
    view = QWebEngineView()
    view.resize(int(width), int(height))

    def told(result: str) -> None:
        sys.stdout.write(f"RESULT {result}\n")
        sys.stdout.flush()
        app.quit()

    def loaded(_: bool) -> None:
        # two frames after loading, whatever was to be drawn is
        view.page().runJavaScript(
            "window.answer = null; requestAnimationFrame(() => requestAnimationFrame(() => {"
            f"window.answer = JSON.stringify((() => {{ {javascript} }})()); }}));"
        )
        ask()

    def ask() -> None:
        view.page().runJavaScript("window.answer", lambda r: told(r) if r is not None else QTimer.singleShot(50, ask))

    view.loadFinished.connect(loaded)
    view.load(QUrl.fromLocalFile(page))
    view.show()
    app.exec()


if __name__ == "__main__":
    _main(*sys.argv[1:])
