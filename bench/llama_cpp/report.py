"""Tables of what was measured: least, median and greatest over the rounds.

A ratio is formed inside a round, from measurements minutes apart at most, so that a slow spell of the machine falls on
both sides. The rival of a figure is its fastest setting by the median of that figure: `same` among those that run Ibid's
very file, `best` among all.
"""

import statistics

from engines import IBID, TYPES


def spread(values, form):
    return " ".join(f"{value:{form}}" for value in (min(values), statistics.median(values), max(values)))


def fastest(figures, names):
    return max(names, key=lambda name: statistics.median(figures[name]))


def table(unit, figures, form):
    """`figures`: by what was measured and engine, a value for each round, the greater the better."""
    print(f"\n| {unit} | ibid | same | best | ibid over same | ibid over best |\n|---|---|---|---|---|---|")
    for what, by_engine in figures.items():
        rivals = [name for name in by_engine if name != IBID]
        cells = [spread(by_engine[IBID], form)]
        ratios = []
        for names in [[name for name in rivals if TYPES[0] in name], rivals]:
            name = fastest(by_engine, names)
            cells.append(f"{spread(by_engine[name], form)} ({name.removeprefix('llama.cpp ')})")
            ratios.append(spread([mine / theirs for mine, theirs in zip(by_engine[IBID], by_engine[name])], ".2f"))
        print(f"| {what} | {' | '.join(cells + ratios)} |")


def seconds_table(unit, figures):
    """The same of seconds, the smaller the better: what stands under a ratio is how many times faster Ibid is."""
    print(f"\n| {unit}, s | ibid | same | best | times faster than same | than best |\n|---|---|---|---|---|---|")
    for what, by_engine in figures.items():
        rivals = [name for name in by_engine if name != IBID]
        cells = [spread(by_engine[IBID], ".3f")]
        ratios = []
        for names in [[name for name in rivals if TYPES[0] in name], rivals]:
            name = min(names, key=lambda name: statistics.median(by_engine[name]))
            cells.append(f"{spread(by_engine[name], '.3f')} ({name.removeprefix('llama.cpp ')})")
            ratios.append(spread([theirs / mine for mine, theirs in zip(by_engine[IBID], by_engine[name])], ".1f"))
        print(f"| {what} | {' | '.join(cells + ratios)} |")


def report(rounds, plan):
    names = list(rounds[0])

    def column(name, of):
        return [of(one[name]) for one in rounds]

    def by_engine(of):
        return {name: column(name, of) for name in names}

    speeds = {}
    for n in plan.contexts:
        speeds[f"prefill, {n}"] = by_engine(lambda one, n=n: n / one["speed"][n]["prefill_s"])
    for n in plan.contexts:
        speeds[f"decode behind {n}"] = by_engine(lambda one, n=n: plan.decode / one["speed"][n]["decode_s"])
    together = f"{plan.sequences} sequences decode together behind {plan.together}"
    speeds[together] = by_engine(lambda one: plan.sequences * plan.decode / one["together"]["decode_s"])
    table("tokens/s", speeds, ".1f")

    gain = by_engine(
        lambda one: plan.sequences * one["speed"][plan.together]["decode_s"] / one["together"]["decode_s"]
    )
    table("times the speed of one", {together: gain}, ".2f")

    waits = {
        f"first token of a question of 32 tokens over {plan.stored} stored ones, against a prefill of all": by_engine(
            lambda one: one["composed"]
        ),
        f"{plan.stored} tokens restored until one was run behind them": by_engine(lambda one: one["restore"]),
    }
    seconds_table("waiting", waits)

    left = {}
    for stage in ["prefill", "decode"]:
        quiet = lambda one, stage=stage: one["speed"][plan.together][f"{stage}_s"] / one["busy"][f"{stage}_s"]
        left[f"{stage}, {plan.together}"] = by_engine(quiet)
    table("part of the speed left beside a busy core", left, ".2f")


def stages(title, bench):
    """What each stage of Ibid's forward pass takes, and what part of the int8 peak its products reach."""
    peak = bench["int8_peak_operations_per_s"]
    print(f"\n| {title} | stage | s | share | Gop/s | of int8 peak | GB/s |\n|---|---|---|---|---|---|---|")
    for result in bench["results"]:
        for stage in result["stages"]:
            operations = stage["operations_per_s"]
            print(
                f"| {result['context']} | {stage['name']} | {stage['seconds']:.4f} | {stage['share']:.3f} | "
                f"{operations / 1e9:.1f} | {operations / peak:.3f} | {stage['bytes_per_s'] / 1e9:.1f} |"
            )
