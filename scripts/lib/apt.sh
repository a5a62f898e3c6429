# shellcheck shell=bash
# Debian packages by apt's own means but with none of the system's state: where they are, and unpacked, not installed.
# Sourced by other scripts; bash, strict mode.

# The package repositories that this machine's own apt uses, one a line: "deb [OPTIONS] URI @SUITE@ COMPONENT...".
# Of its sources only the suite is replaced later: a newer one is wanted.
apt_sources() {
  local etc=/etc/apt files=()
  mapfile -t files < <(find "$etc/sources.list.d" -name '*.sources' 2>/dev/null)
  ((${#files[@]} == 0)) || awk -v RS= -F'\n' '
    { split("", field); name = ""
      for (i = 1; i <= NF; i++)
        if ($i ~ /^#/) continue
        else if (match($i, /^[A-Za-z-]+:/)) {
          name = tolower(substr($i, 1, RLENGTH - 1))
          field[name] = substr($i, RLENGTH + 1)
        } else field[name] = field[name] " " $i # continuation line
      if (field["types"] !~ /(^| )deb( |$)/ || tolower(field["enabled"]) ~ /no|false/) next
      keyring = field["signed-by"]; gsub(/ /, "", keyring)
      options = keyring ~ /^\// ? "[signed-by=" keyring "] " : ""
      n = split(field["uris"], uri, " ")
      for (i = 1; i <= n; i++) print "deb " options uri[i] " @SUITE@ " field["components"] }' "${files[@]}"
  mapfile -t files < <(find "$etc/sources.list" "$etc/sources.list.d" -name '*.list' 2>/dev/null)
  ((${#files[@]} == 0)) ||
    sed -nE 's/^\s*deb\s+(\[[^]]*\]\s+)?(\S+)\s+\S+\s+([^#]*).*/deb \1\2 @SUITE@ \3/p' "${files[@]}"
}

# Downloads PACKAGE... into FOLDER and unpacks them in FOLDER/root, by apt's own means but with none of the system's
# state: nothing is installed, and no privileges are needed.
apt_unpack() { # FOLDER SOURCES_LINE PACKAGE...
  local folder=$1 deb apt=(apt-get -qq -o Dir::Etc::SourceList="$1/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o Dir::Etc::Preferences=/dev/null -o Dir::Etc::PreferencesParts=/dev/null -o Dir::State::Status=/dev/null
    -o Dir::State::Lists="$1/lists" -o Dir::Cache="$1/cache" -o APT::Sandbox::User=root
    -o APT::Update::Error-Mode=any -o Acquire::Languages=none)
  mkdir -p "$folder"/{lists,cache}/partial "$folder/debs"
  printf '%s\n' "$2" >"$folder/sources.list"
  "${apt[@]}" update && (cd "$folder/debs" && "${apt[@]}" download "${@:3}") || return
  for deb in "$folder"/debs/*.deb; do
    dpkg-deb --extract "$deb" "$folder/root" || return
  done
}
