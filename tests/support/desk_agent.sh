# An agent in a shell: opens an episode, asks the model once, uses a tool, ends. Arguments: address, control token.
set -eu
post() { curl -sf -X POST -H 'Content-Type: application/json' "$@"; }
opened=$(post -H "Authorization: Bearer $2" "$1/episodes" -d '{}')
episode=$(printf %s "$opened" | sed 's/.*"episode":"\([0-9a-f]*\)".*/\1/')
post "$1/e/$episode/v1/chat/completions" -d '{"model": "m", "messages": [{"role": "user", "content": "What now?"}]}'
post "$1/e/$episode/tools/find_members" -d '{"name": "Alan"}'
post "$1/e/$episode/user" -d '{"message": "For how many days?"}'
post "$1/e/$episode/finish" -d '{"message": "I give up."}'
