# A package manager as root: an index over HTTP, fetched as the user _apt; packages whose scripts make a group and a
# set-group-ID program; their removal.
python3 -m http.server --bind 127.0.0.1 --directory /srv/packages 8000 &
await curl -fsS http://127.0.0.1:8000/Packages
echo 'deb [trusted=yes] http://127.0.0.1:8000 ./' >/etc/apt/sources.list
rm -f /etc/apt/sources.list.d/*
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install --yes cron
kill %1
[ "$(stat -c '%A %G' /usr/bin/crontab)" = '-rwxr-sr-x crontab' ]
echo '0 0 * * * true' | crontab -
[ "$(crontab -l)" = '0 0 * * * true' ]
dpkg --audit
dpkg --verify cron
apt-get purge --yes cron
[ "$(dpkg-query --show --showformat '${db:Status-Status}' cron)" = not-installed ]
[ ! -e /usr/bin/crontab ]
works
