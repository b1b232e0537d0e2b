# ratchet serve in a container: CPU torch, an ordinary user, everything that it writes in the volume /data.
#
#   docker build -t ratchet .
#   docker run --rm -v ratchet:/data ratchet serve keys add me
#   docker run -p 8000:8000 -v ratchet:/data ratchet

FROM python:3.11-slim

# The CPU build of torch, in the version that the tests run with: a tenth of the size of the one for CUDA.
COPY constraints.txt /src/
RUN grep -E '^torch==' /src/constraints.txt > /src/torch.txt \
    && pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu --requirement /src/torch.txt

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
