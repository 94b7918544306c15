# The mock servers and the command line, without torch; EXTRAS=agents,serve,train adds it. docker-compose.yml says how.
# What requirements.lock has is installed by its hashes. torch is not in it, for which build it is the place decides.
FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml constraints.txt requirements.lock README.md LICENSE ./
COPY mocktools mocktools
COPY envs envs
COPY agents agents
COPY synth synth
COPY training training
COPY src src
ARG EXTRAS=agents,serve,postgres
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock && pip install --no-cache-dir --constraint constraints.txt ".[$EXTRAS]" && useradd --create-home mocktrial
USER mocktrial
WORKDIR /home/mocktrial
ENTRYPOINT ["mocktrial"]
