#!/usr/bin/env python3
"""Lays the heat pain recordings (fetch_assets.py, data/heatpain) out for `neurod network build`: heat against rating.

    python3 tools/heatpain_networks.py .cache/data/heatpain --out heatpain
    neurod network build heatpain --kind pearson --shrinkage none --fisher-z --tr 2 --out heat.npz

Standard library only. OUT gets, of each of 33 people,

    sub-XX/func/sub-XX_run-0N_timeseries.tsv   a row a volume (2 s), a column a region: 122, the global signal left out
    sub-XX/func/sub-XX_run-0N_events.tsv       the published events, whose onsets count from the session's start, with a
                                               trial_type: heat where there is a temperature, rating where there is a rating
    participants.tsv                           participant_id
    samples.tsv                                two networks a run: one over all its heat, one over all its ratings, each 5 s
                                               later for the haemodynamic response

98 runs (that of sub-01 which is not in the package is left out), so 196 networks, 98 of each label.
"""

import argparse
import csv
import os
import sys

LAG = 5
"""Seconds from the heat to the response."""
RUNS = {"01": ("_ts.txt", 0), "03": ("_ts_run_03.tsv", 836), "07": ("_ts_run_07.tsv", 2472)}
"""Of each run the ending of its region table, and when it began in the session, in seconds."""
EVENTS = "{who}_task-heatpainwithregulationandratings_run-{run}_events.tsv"


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t"))


def write(path, rows):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator="\n").writerows(rows)


def regions(source, target):
    """The table without its global signal."""
    rows = rows_of(source)
    if not rows or rows[0][0] != "GlobSig":
        sys.exit(f"{source}: its first column is not GlobSig")
    write(target, [row[1:] for row in rows])


def events(source, target):
    """The events with a trial_type."""
    header, *rows = rows_of(source)
    heat, rating = header.index("temperature"), header.index("ratings")
    for row in rows:
        row.append("heat" if row[heat] != "n/a" else "rating" if row[rating] != "n/a" else "n/a")
    write(target, [header + ["trial_type"], *rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="the folder of sub-01_ts_run_03.tsv and the others")
    parser.add_argument("--out", required=True, help="the folder to write")
    options = parser.parse_args()
    people = [f"sub-{number:02}" for number in range(1, 34)]
    samples = []
    for who in people:
        for run, (ending, start) in RUNS.items():
            table = os.path.join(options.source, who + ending)
            if not os.path.exists(table):
                continue
            stem = f"{who}/func/{who}_run-{run}"
            regions(table, os.path.join(options.out, f"{stem}_timeseries.tsv"))
            listed = os.path.join(options.source, EVENTS.format(who=who, run=run))
            events(listed, os.path.join(options.out, f"{stem}_events.tsv"))
            for label in ("heat", "rating"):
                cut = [f"{stem}_events.tsv", f"trial_type={label}", LAG, start, label]
                samples.append([f"{stem}_timeseries.tsv", who, *cut])
    if not samples:
        sys.exit(f"{options.source}: no region tables here (tools/fetch_assets.py --only demo fetches them)")
    write(os.path.join(options.out, "participants.tsv"), [["participant_id"], *([who] for who in people)])
    header = ["file", "participant_id", "events", "select", "lag", "offset", "label"]
    write(os.path.join(options.out, "samples.tsv"), [header, *samples])
    print(f"{options.out}: {len(samples)} networks to build, of {len({sample[1] for sample in samples})} people")


if __name__ == "__main__":
    main()
