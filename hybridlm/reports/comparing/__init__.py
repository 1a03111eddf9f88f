"""Files of token scores -> a `Comparison`: aligned token by token, summed by category, and shown in every form.

found, text = run.compare(["runs/a", "runs/b"], "", rows.Settings())
report.write(found, text, "runs/a_and_b")
"""
