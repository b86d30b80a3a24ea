#!/bin/sh
# check_symbols.sh LIBRARY ALLOWED: fails when an object of the library needs a
# symbol that is neither in the list nor defined by the library itself.
set -eu
library=$1
allowed=$2
unknown=$(nm -C --no-demangle "$library" | awk -v allowed="$allowed" '
  BEGIN { while ((getline line < allowed) > 0) {
            if (line !~ /^#/ && line != "") ok[line] = 1 } }
  NF == 2 && $1 == "U" { wanted[$2] = 1 }
  NF == 3 { ok[$3] = 1 }
  END { for (s in wanted) if (!(s in ok) && s != "_GLOBAL_OFFSET_TABLE_")
          print s }' | sort)
if [ -n "$unknown" ]; then
  echo "not allowed between clone and exec:"
  echo "$unknown"
  exit 1
fi
