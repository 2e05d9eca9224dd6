"""The coverage matrix of exploration as a heat map: what of each flow was failed, and what held."""

from __future__ import annotations

import html
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netra_sim.kernel.errors import UnknownName
from netra_sim.reports.notebook import Shown

FAULTS = ("refuse", "error", "cut_before", "cut_after", "stall", "corrupt")
# Colour and mark of each state: who sees no colours has the mark.
STATES = {"held": ("#2e7d5b", "✓"), "violated": ("#c0392b", "✗"), "unreached": ("#b9c0c8", "?")}
LONGEST = 60  # characters of an exchange's name in the map
RULES = {
    "repeats": "first, middle and last stand for more than three of one name",
    "lasting": "a refusal lasts: the first of a name stands for all",
    "harmless": "where nothing is changed, a lost request and a lost answer are the same",
    "batched": "commands sent together share their connection's fate: the first stands for all",
    "empty": "what is not there cannot be corrupted",
}


@dataclass(frozen=True)
class Exploration:
    """What reports/explore.json says."""

    data: Mapping[str, Any]

    @property
    def flows(self) -> list[str]:
        """The flows that were explored."""
        return [flow["flow"] for flow in self.data["flows"]]

    def summary(self) -> Shown:
        """Of each flow: exchanges, cells by state, cells that others stand for."""
        names = ("flow", "exchanges", *STATES, "coverage", "merged")
        rows = [dict(zip(names, _row(flow), strict=True)) for flow in self.data["flows"]]
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join("<tr>" + "".join(f"<td>{row[name]}</td>" for name in names) + "</tr>" for row in rows)
        text = "\n".join(", ".join(f"{name} {row[name]}" for name in names) for row in rows)
        return Shown("exploration", f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>", text)

    def heat(self, flow: str) -> Shown:
        """Exchange x fault of one flow; an empty place means that another cell stands for it, or that it cannot be."""
        found = next((each for each in self.data["flows"] if each["flow"] == flow), None)
        if found is None:
            raise UnknownName(what="flow", name=flow, known=", ".join(self.flows))
        return Shown(f"exploration-{flow}", _map(found), _plain(found))

    def violated(self) -> Shown:
        """Every cell in which an invariant did not hold, with what shows it."""
        bad = [
            (flow["flow"], cell) for flow in self.data["flows"] for cell in flow["cells"] if cell["state"] == "violated"
        ]
        if not bad:
            return Shown("", "<p>No cell violates an invariant.</p>", "No cell violates an invariant.")
        lines = [f"{flow}: {cell['exchange']} / {cell['fault']}: {cell['why']}" for flow, cell in bad]
        return Shown(
            "", "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>", "\n".join(lines)
        )

    def regressions(self) -> Shown:
        """Every plan that once violated, with what it shows now and what was found with it."""
        rows = [
            (plan["state"], f"{plan['plan']}: {' + '.join(plan['faults'])}", plan["found"])
            for plan in self.data.get("regressions", ())
        ]
        text = "\n".join(f"{STATES[state][1]} {what}: {found}" for state, what, found in rows) or "None was run."
        body = "".join(
            f'<tr><td style="white-space:nowrap;color:{STATES[state][0]}"><b>{STATES[state][1]} {state}</b></td>'
            f"<td>{html.escape(what)}</td><td>{html.escape(found)}</td></tr>"
            for state, what, found in rows
        )
        head = "<thead><tr><th>now</th><th>plan</th><th>what it violated</th></tr></thead>"
        return Shown("", f"<table>{head}<tbody>{body}</tbody></table>" if rows else f"<p>{text}</p>", text)

    def rules(self) -> Shown:
        """By which rule how many cells were left out."""
        counts = sum((Counter(flow.get("merged", {})) for flow in self.data["flows"]), Counter[str]())
        lines = [f"{n}: {RULES.get(name, name)}" for name, n in counts.most_common()]
        return Shown("", "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>", "\n".join(lines))


def exploration(path: Path | str = "reports/explore.json") -> Exploration:
    """Read the file; FileNotFoundError before the first exploration."""
    return Exploration(json.loads(Path(path).read_text()))


def _row(flow: Mapping[str, Any]) -> tuple[Any, ...]:
    states = Counter(cell["state"] for cell in flow["cells"])
    reached = states["held"] + states["violated"]
    share = f"{100 * reached / len(flow['cells']):.0f} %" if flow["cells"] else "none"
    counts = (states[name] for name in STATES)
    return flow["flow"], len(flow["exchanges"]), *counts, share, sum(flow.get("merged", {}).values())


def _map(flow: Mapping[str, Any]) -> str:
    cells = {(cell["exchange"], cell["fault"]): cell for cell in flow["cells"]}
    head = "".join(f"<th>{fault.replace('_', ' ')}</th>" for fault in FAULTS)
    rows = []
    for name in flow["exchanges"]:
        if any((name, fault) in cells for fault in FAULTS):
            told = html.escape(name if len(name) <= LONGEST else f"{name[: LONGEST - 8]} … {name.rpartition(' ')[2]}")
            places = "".join(_place(cells.get((name, fault))) for fault in FAULTS)
            rows.append(
                f'<tr><th scope="row" title="{html.escape(name)}" style="text-align:left">{told}</th>{places}</tr>'
            )
    return f"<table><thead><tr><th>{flow['flow']}</th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _place(cell: Mapping[str, Any] | None) -> str:
    if cell is None:
        return "<td></td>"
    colour, mark = STATES[cell["state"]]
    title = html.escape(f"{cell['state']}: {cell['why']}")
    return f'<td title="{title}" style="background:{colour};color:#fff;text-align:center">{mark}</td>'


def _plain(flow: Mapping[str, Any]) -> str:
    cells = {(cell["exchange"], cell["fault"]): STATES[cell["state"]][1] for cell in flow["cells"]}
    names = [name for name in flow["exchanges"] if any((name, fault) in cells for fault in FAULTS)]
    return "\n".join("".join(cells.get((name, fault), " ") for fault in FAULTS) + f" {name}" for name in names)
