"""Cases of real data: JSON files of npm packages."""

import json

# Rows of the largest files that are loaded; the first ones are enough to have every shape.
MOST = 1500
MANY = 100


def cases(folder):
    """A case for each file of the packages in a folder."""
    found = []
    for path in sorted(folder.glob("*/*.json")) if folder else []:
        document = json.loads(path.read_bytes())
        rows = document if isinstance(document, list) else [document]
        if isinstance(document, dict) and len(document) > MANY:
            # A map, not a row: as columns its keys would take dlt many minutes.
            rows = [{"key": key, **value} for key, value in document.items()]
        if not all(isinstance(row, dict) for row in rows):
            rows = [{"row": row} for row in rows]
        package = path.parent.name.split("@")[-2].replace("+", "/")
        found.append(
            {
                "id": f"{package.split('/')[-1]}-{path.stem}",
                "group": "real",
                "about": f"{path.name} of {path.parent.name.replace('+', '/')}",
                "table": "rows",
                "rows": "\n".join(json.dumps(row, ensure_ascii=False) for row in rows[:MOST]),
                **KNOWN.get(path.stem, {}),
            }
        )
    return found


KNOWN = {}
