#!/bin/sh
# Sends one request, and looks for its ID in the logs of all pods. Fails unless each of the five layers handed it on.
#   kubectl -n clew port-forward deployment/nginx-loadbalancer-green 8080:80 &
#   stack/kubernetes/check.sh http://127.0.0.1:8080
set -eu
if [ $# -ne 1 ]; then
    printf 'No address given.\nNext: %s http://127.0.0.1:8080\n' "$0" >&2
    exit 2
fi
id=check-$(date +%s)-$$
curl --fail --silent --show-error --max-time 10 --output /dev/null "$1/api/v1/tasks" \
    --header "X-Request-ID: $id" --header 'Content-Type: application/json' \
    --data '{"task_type": "calculate_var",
             "data": {"portfolio_data": {"positions": [{"symbol": "AAPL", "quantity": 100, "price": 150.0}]}}}'

left=${SECONDS_TO_WAIT:-10}
while :; do
    logs=$(kubectl -n clew logs -l app.kubernetes.io/part-of=clew --since=2m --tail=-1 --max-log-requests=100)
    missing=
    for hop in nginx routes task-service queue-service worker; do
        printf '%s\n' "$logs" | grep "\"correlation_id\": *\"$id\"" | grep -q "\"hop\": *\"$hop\"" || missing="$missing $hop"
    done
    [ -n "$missing" ] && [ "$left" -gt 0 ] || break
    left=$((left - 1))
    sleep 1
done
if [ -n "$missing" ]; then
    printf '%s is not in the logs of:%s\nNext: kubectl -n clew logs -l app.kubernetes.io/part-of=clew --tail=-1 | grep %s\n' \
        "$id" "$missing" "$id"
    exit 1
fi
echo "$id was handed on by all five layers."
