"""`controlnet evaluate --list`: the metrics and the suites that there are."""


def show() -> None:
    """Print both tables."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from controlnet import registry
    from controlnet.evaluation.suite import load_suite, suites

    table = Table(box=None, pad_edge=False)
    for column in ("metric", "", "what it tells", "needs"):
        table.add_column(column, overflow="fold")
    for name in registry.names("metrics"):
        metric = registry.find("metrics", name)
        arrow = "↑" if metric.higher_is_better else "↓"
        needs = ", ".join(one.name for one in metric.weights)
        table.add_row(*map(Text, (name, arrow, f"{metric.title} ({metric.unit})", needs)))
    ready = Table(box=None, pad_edge=False)
    for column in ("suite", "what it repeats", "wants"):
        ready.add_column(column, overflow="fold")
    for name in suites():
        suite = load_suite(name)
        ready.add_row(*map(Text, (name, suite.title, suite.data)))
    console = Console()
    console.print(table)
    console.print()
    console.print(ready)
