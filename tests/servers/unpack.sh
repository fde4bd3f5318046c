#!/bin/sh
# Stands for dpkg where apt installs packages: it unpacks them and notes that they are installed.
# It runs no scripts of packages and keeps no lists of files, which is most of dpkg's work.
# UNPACK_ROOT: the folder to install into, if it is not /.
set -eu
root="${UNPACK_ROOT:-}"
status="$root/var/lib/dpkg/status"

unpack() {
    package=$(dpkg-deb --field "$1" Package)
    # PostgreSQL's server depends on it to compile long queries, and runs without: 120 MB.
    case "$package" in libllvm*) return ;; esac
    dpkg-deb --fsys-tarfile "$1" | tar -C "$root/" -xp --numeric-owner --keep-directory-symlink \
        --exclude="./usr/share/doc/*" --exclude="./usr/share/man/*" --exclude="./usr/share/locale/*"
    dpkg-deb --field "$1" | sed "/^Package:/a Status: install ok installed" >>"$status.new"
    echo >>"$status.new"
}

case " $* " in
    *" --unpack "*)
        cp "$status" "$status.new"
        for given in "$@"; do
            case "$given" in
                -*) ;;
                # apt gives one package, or a folder with many.
                *.deb) unpack "$given" ;;
                *) for file in "$given"/*.deb; do [ ! -f "$file" ] || unpack "$file"; done ;;
            esac
        done
        mv "$status.new" "$status"
        ;;
    *" --configure "* | *" --triggers-only "*) [ -n "$root" ] || ldconfig ;;
    *) exec dpkg "$@" ;;
esac
