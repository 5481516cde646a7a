# Runs before the commands of a page, in namespaces of its own: the page's ports and
# paths are there, and nobody else's.
set -eu
ip link set lo up
for dir in /srv /run /var/lib /var/log /var/cache; do mount -t tmpfs tmpfs "$dir"; done
mkdir "$WORK/etc"
mount -t tmpfs tmpfs "$WORK/etc"
mkdir "$WORK/etc/upper" "$WORK/etc/work"
mount -t overlay overlay -o "lowerdir=/etc,upperdir=$WORK/etc/upper,workdir=$WORK/etc/work" /etc

mkdir -p /srv/www/assets /srv/app /srv/mirror/images "$HOME/Downloads" "$HOME/Pictures" /run/phalanx /var/log/phalanx /etc/bash_completion.d \
	/var/log/nginx /etc/nginx/conf.d /etc/haproxy /etc/systemd/system/phalanx.service.d \
	/etc/ssl/example.org /var/lib/phalanx /var/lib/nginx
echo '<!DOCTYPE html><title>front</title>' >/srv/www/index.html
echo 'not here' >/srv/www/404.html
seq 10000 >/srv/www/assets/app.js
cp /srv/www/index.html /srv/app/index.html
cp /srv/www/index.html "$HOME/Downloads/a.html"
cp "$HOME/Downloads/a.html" "$HOME/Pictures/cat.png"
mkdir -p /srv/www/releases/42/img && ln -s releases/42 /srv/www/current && echo logo >/srv/www/current/img/logo.png
mkdir build && cp /srv/www/index.html build/
echo 'some film' >film.mkv
echo 'some notes' >notes.txt
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 90 -subj /CN=example.org \
	-addext subjectAltName=DNS:example.org -keyout /etc/ssl/example.org/privkey.pem -out /etc/ssl/example.org/fullchain.pem
cp /etc/ssl/example.org/fullchain.pem /etc/ssl/example.org/clients.pem
seq 2000000 >/srv/mirror/images/disk.iso
echo 'base = /srv/www' >/etc/phalanx.conf
id phalanx >/dev/null 2>&1 || echo 'phalanx:x:990:990::/var/lib/phalanx:/usr/sbin/nologin' >>/etc/passwd # as packages do
getent group phalanx >/dev/null || echo 'phalanx:x:990:' >>/etc/group
touch -d '2 days ago' /srv/www/* /srv/www/assets/* /srv/app/* /srv/mirror/images/*
[ ! -f /etc/nginx/nginx.conf ] || sed -i 's/^user .*/user root;/' /etc/nginx/nginx.conf

finish() {
	code=$?
	set +ex
	[ ! -s /run/nginx.pid ] || kill "$(cat /run/nginx.pid)"
	[ ! -f "$WORK/pids" ] || xargs kill <"$WORK/pids" 2>/dev/null
	while [ -f "$WORK/pids" ] && xargs kill -0 <"$WORK/pids" 2>/dev/null; do sleep 0.05; done
	exit "$code"
}
trap finish EXIT
set -x
