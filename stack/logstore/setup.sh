# Put the lifecycle policy, the index template and the dashboard in place; doing it again changes nothing.
set -eu

put() {
    curl --fail --silent --show-error -X PUT "http://elasticsearch:9200/$1" \
        -H 'Content-Type: application/json' --data-binary "@/etc/clew/$2"
    echo
}

put _ilm/policy/clew-logs ilm.json
put _index_template/clew-logs template.json
curl --fail --silent --show-error -X POST 'http://kibana:5601/api/saved_objects/_import?overwrite=true' \
    -H 'kbn-xsrf: clew' --form file=@/etc/clew/dashboard.ndjson
