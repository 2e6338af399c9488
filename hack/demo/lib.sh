# shellcheck shell=bash
# Speech of the demo. Sourced after lib/common.sh.

BOLD='' DIM='' GREEN='' RED='' RESET=''
if [ -t 2 ] && [ -z "${NO_COLOR:-}" ]; then
  BOLD=$'\e[1m' DIM=$'\e[2m' GREEN=$'\e[32m' RED=$'\e[31m' RESET=$'\e[0m'
fi
DEMO_STARTED=$EPOCHREALTIME

title() { printf '\n%s[%s] %s%s\n' "$BOLD" "$(elapsed "$DEMO_STARTED")" "$*" "$RESET" >&2; }
good() { printf '%s%s%s\n' "$GREEN" "$*" "$RESET" >&2; }
show() { printf '%s$ %s%s\n' "$DIM" "$*" "$RESET" >&2; }

# Runs a command and shows it first, as a person would type it.
run_shown() {
  show "$@"
  "$@" >&2
}

STALLED='{range .items[*]}{range .status.conditions[?(@.type=="Stalled")]}{.reason}: {.message}{"\n"}{end}{end}'

# Prints a table again whenever it has changed, until a condition of an object is met or the object stalls.
#   watch_until SECONDS CONDITION-EXPRESSION KIND/NAME -- COMMAND…
watch_until() {
  local limit=$1 wanted=$2 object=$3 end=$((SECONDS + $1)) before='' now verdict stalled
  shift 4
  while :; do
    now=$("$@" 2>&1) || true
    # Ages change every second; a line that differs only there is no news.
    if [ "$(sed -E 's/ +[0-9]+[smh0-9]*$//' <<<"$now")" != "$(sed -E 's/ +[0-9]+[smh0-9]*$//' <<<"$before")" ]; then
      printf '%s\n' "$now" >&2
      before=$now
    fi
    verdict=$(kubectl get "$object" -o jsonpath='{range .status.conditions[*]}{.type}={.status}/{.reason} {end}' 2>/dev/null || true)
    case " $verdict" in *" $wanted"*) return 0 ;; esac
    # What an object waits for may be what stalls.
    stalled=$(kubectl get gal,gid,vhdi,imgv -o jsonpath="$STALLED" 2>/dev/null || true)
    if [[ $wanted != Stalled* && -n $stalled ]]; then die "it stalls: $stalled"; fi
    if [ $SECONDS -ge $end ]; then
      kubectl describe "$object" >&2 || true
      die "$object: '$wanted' did not come true within $limit s (it says: $verdict)"
    fi
    command sleep 1
  done
}
