"""Published results: from another study's result files to scores that stand in the store like one's own.

Owns what is believed of such files and the warnings they deserve. Scores nothing, and changes no number.
"""

from engine.results.imported.importing import Imported, import_study, import_upload

__all__ = ["Imported", "import_study", "import_upload"]
