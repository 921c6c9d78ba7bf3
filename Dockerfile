# CPU:  docker build -t vgslam .
# CUDA: docker build --build-arg VARIANT=cu126 -t vgslam:cuda .      (run it with --gpus all)
# Use:  docker run --rm -v "$PWD:/data" -w /data vgslam run video.mp4
#       docker run --rm --network host vgslam live rtsp://CAMERA/stream --poses tcp:127.0.0.1:5555
# This file has not been built by the project's tests, which have no Docker.
FROM python:3.11-slim

# Which build of PyTorch: cpu, or a CUDA version that pytorch.org has wheels for.
ARG VARIANT=cpu

WORKDIR /src
COPY constraints.txt ./
RUN pip install --no-cache-dir torch -c constraints.txt --index-url "https://download.pytorch.org/whl/${VARIANT}"
COPY . .
RUN pip install --no-cache-dir ".[network,viewer]" -c constraints.txt && rm -rf /src/*

RUN useradd --create-home slam
USER slam
WORKDIR /data
ENTRYPOINT ["vgslam"]
CMD ["doctor"]
