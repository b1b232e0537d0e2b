# ratchet serve in a container: an ordinary user, everything that it writes in the volume /data.
#
#   docker build -t ratchet --build-arg PIP_EXTRA_INDEX_URL=INDEX .
#   docker run --rm -v ratchet:/data ratchet serve keys add me
#   docker run -p 8000:8000 -v ratchet:/data ratchet

FROM python:3.11-slim

# With INDEX as PyTorch's index of CPU wheels the image is a tenth of the size; left out, torch comes with CUDA.
ARG PIP_EXTRA_INDEX_URL=""

COPY constraints.txt /src/
COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN pip install --no-cache-dir --constraint /src/constraints.txt '/src[local,logic,openai,problems,serve]'

RUN useradd --create-home --uid 10001 ratchet && install --directory --owner ratchet --group ratchet /data
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8000

# Whether the process lives; an orchestrator that can tell the two apart asks /ready before it sends requests.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health')"]

ENTRYPOINT ["ratchet"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
