# The mock servers and the command line, without torch. `docker compose up` serves Auto-SLURP.
FROM python:3.11-slim
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY mocktools mocktools
COPY envs envs
COPY agents agents
COPY synth synth
COPY training training
COPY src src
RUN pip install --no-cache-dir --constraint constraints.txt '.[agents,serve]' && useradd --create-home mocktrial
USER mocktrial
WORKDIR /home/mocktrial
ENTRYPOINT ["mocktrial"]
