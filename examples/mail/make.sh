#!/usr/bin/env bash
# Writes the mail for one recipient to standard output: mail.html with a signed open pixel and a signed click link.
# For many recipients at once: fairpixel mail-link open --recipients FILE.
set -euo pipefail

here=$(dirname "$0")
fairpixel=$here/../../.venv/bin/fairpixel
# The consent is what this very recipient agreed to; leave it out where you do not know.
about=(
  --site "${SITE:-demo}"
  --message spring-sale
  --recipient "${RECIPIENT:-r-81f3}"
  --consent measurement
  --base "${EDGE_URL:-http://127.0.0.1:8000}"
)
open_pixel=$("$fairpixel" mail-link open "${about[@]}")
click_link=$("$fairpixel" mail-link click https://shop.example/sale "${about[@]}")

mail=$(<"$here/mail.html")
mail=${mail//@OPEN_PIXEL@/"$open_pixel"}
mail=${mail//@CLICK_LINK@/"$click_link"}
printf '%s\n' "$mail"
