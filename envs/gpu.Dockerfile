# The packages of the GPU environment, without the project, which the workflow takes from its checkout (docs/containers.md):
#   docker build -f envs/gpu.Dockerfile -t fofg-gpu .
# gpu.def makes the same for Apptainer (a test holds them equal).
FROM python:3.12.12-slim-bookworm

# Triton and PyTorch compile at run time; Python's own headers are in the base. The CUDA libraries are packages of gpu.txt.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

# Packages in a user's home folder stay out. FlashInfer's sampler, vLLM's default, would be compiled by nvcc, which is not here.
ENV PYTHONNOUSERSITE=1 \
    VLLM_USE_FLASHINFER_SAMPLER=0

# More for pip, a mirror say: --build-arg PIP_ARGS="--index-url URL"
ARG PIP_ARGS=
COPY envs/gpu.txt /opt/fofg/gpu.txt
COPY envs/countdown.txt /opt/fofg/countdown.txt
RUN pip install --no-cache-dir --quiet --disable-pip-version-check $PIP_ARGS -r /opt/fofg/gpu.txt \
    && pip install --no-cache-dir --quiet --disable-pip-version-check $PIP_ARGS --no-deps -r /opt/fofg/countdown.txt

CMD ["bash"]
