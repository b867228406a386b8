# Run when Snakemake has made this environment (--sdm conda): conda cannot install a package without its dependencies.
pip install --quiet --no-deps reasoning-gym==0.1.25
