# shellcheck shell=bash disable=SC1090,SC2154
# What `conda activate` does, and a `conda` that may be told to.
conda() { case "$1" in activate | deactivate) ;; *) command conda "$@" ;; esac; }
mamba() { case "$1" in activate | deactivate) ;; *) command mamba "$@" ;; esac; }
export CONDA_PREFIX="${env_root%/}" CONDA_DEFAULT_ENV="$CW_ENV_NAME" CONDA_SHLVL=1
export PATH="$CW_BUILD_TMPDIR/tools:${env_root}bin:$TYKKY_UV_FOLDER:$PATH"
for tykky_script in "${env_root}"etc/conda/activate.d/*.sh; do
    [ ! -f "$tykky_script" ] || . "$tykky_script"
done
