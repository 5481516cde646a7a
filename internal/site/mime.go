package site

import (
	"bytes"
	"strings"

	"phalanx/internal/proto"
)

// typeOf returns the media type of a name by its extension. Unknown types are
// application/octet-stream, which browsers save without sniffing.
func typeOf(name []byte) mediaType {
	var space [16]byte
	ext, found := extension(name)
	if !found || len(ext) > len(space) {
		return unknown
	}
	lower := space[:0]
	for _, c := range ext {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		lower = append(lower, c)
	}
	if t, ok := types[string(lower)]; ok {
		return t
	}
	return unknown
}

// typeOf returns the media type of a name by the first rule that matches it, and that rule, or
// by its extension if none does.
func (r *Root) typeOf(name []byte) (mediaType, *Rule) {
	if len(r.policy.Types) > 0 {
		if rule := ruleFor(r.policy.Types, string(name)); rule != nil {
			return mediaType{kind: rule.Value, compressible: compressible(rule.Value)}, rule
		}
	}
	return typeOf(name), nil
}

// compressible reports whether files of a media type are worth compressing: those of the
// table, and all text.
func compressible(kind string) bool {
	essence, _, _ := strings.Cut(kind, ";")
	essence = strings.ToLower(strings.TrimSpace(essence))
	if strings.HasPrefix(essence, "text/") || strings.HasSuffix(essence, "+json") || strings.HasSuffix(essence, "+xml") {
		return true
	}
	for _, t := range types {
		if t.compressible && t.kind == essence {
			return true
		}
	}
	return false
}

// extension returns the part of a file's name after its last dot.
func extension(name []byte) (ext []byte, found bool) {
	name = name[bytes.LastIndexByte(name, '/')+1:]
	dot := bytes.LastIndexByte(name, '.')
	return name[dot+1:], dot >= 0
}

const binary = "application/octet-stream"

var unknown = mediaType{kind: binary}

// mediaType describes the files of one media type.
type mediaType struct {
	kind         string       // media type, with charset
	compressible bool         // worth compressing, so sidecars are looked for
	coding       proto.Coding // content coding of the files themselves, such as .svgz
}

// types is parsed from table at start and not changed.
var types = parseTypes(table)

// table has a line for each type: the extensions, then the type, then "z" if files of it are
// worth compressing, or "gzip" if they are sent with that content coding, because they have
// the type after decoding (RFC 9110 §8.4). That does not apply to files that users keep
// compressed, such as .tar.gz. The types are those of the IANA registry where it has one. Text
// is UTF-8.
const table = `
html htm shtml: text/html; charset=utf-8 z
xhtml xht: application/xhtml+xml z
css: text/css; charset=utf-8 z
js mjs cjs: text/javascript; charset=utf-8 z
mts cts tsx jsx vue svelte go rs py rb c h cc cpp hpp java kt swift sh pl lua sql diff patch log conf cfg ini toml txt text me nfo: text/plain; charset=utf-8 z
md markdown: text/markdown; charset=utf-8 z
csv: text/csv; charset=utf-8 z
tsv: text/tab-separated-values; charset=utf-8 z
vtt: text/vtt; charset=utf-8 z
srt: application/x-subrip; charset=utf-8 z
ics: text/calendar; charset=utf-8 z
vcf: text/vcard; charset=utf-8 z
rtf: application/rtf z
xml xsl xsd rng: text/xml; charset=utf-8 z
dtd: application/xml-dtd z
xslt: application/xslt+xml z
json map: application/json z
json5: application/json5 z
jsonld: application/ld+json z
geojson: application/geo+json z
topojson: application/json z
ndjson jsonl: application/x-ndjson z
webmanifest: application/manifest+json z
har: application/json z
yaml yml: application/yaml z
rss: application/rss+xml z
atom: application/atom+xml z
mathml mml: application/mathml+xml z
gpx: application/gpx+xml z
kml: application/vnd.google-earth.kml+xml z
kmz: application/vnd.google-earth.kmz
wasm: application/wasm z
svg: image/svg+xml; charset=utf-8 z
svgz: image/svg+xml; charset=utf-8 gzip
emf: image/emf z
emz: image/emf gzip
wmf: image/wmf z
wmz: image/wmf gzip
wrl: model/vrml z
wrz: model/vrml gzip
png: image/png
apng: image/apng
jpg jpeg jpe jfif: image/jpeg
gif: image/gif
webp: image/webp
avif: image/avif
jxl: image/jxl
heic: image/heic
heif: image/heif
bmp: image/bmp z
tif tiff: image/tiff
ico cur: image/vnd.microsoft.icon z
psd: image/vnd.adobe.photoshop
jp2: image/jp2
woff: font/woff
woff2: font/woff2
ttf: font/ttf z
otf: font/otf z
ttc: font/collection z
eot: application/vnd.ms-fontobject z
mp3: audio/mpeg
m4a m4b: audio/mp4
aac: audio/aac
oga ogg opus spx: audio/ogg
flac: audio/flac
wav: audio/wav
weba: audio/webm
mid midi: audio/midi
aif aiff: audio/aiff
mp4 m4v: video/mp4
webm: video/webm
ogv: video/ogg
mov qt: video/quicktime
avi: video/vnd.avi
mkv: video/matroska
mpg mpeg: video/mpeg
ts m2ts: video/mp2t
3gp: video/3gpp
m3u8: application/vnd.apple.mpegurl z
m3u: audio/mpegurl z
mpd: application/dash+xml z
m4s: video/iso.segment
pdf: application/pdf
ps eps ai: application/postscript z
epub: application/epub+zip
doc: application/msword
xls: application/vnd.ms-excel
ppt: application/vnd.ms-powerpoint
docx: application/vnd.openxmlformats-officedocument.wordprocessingml.document
xlsx: application/vnd.openxmlformats-officedocument.spreadsheetml.sheet
pptx: application/vnd.openxmlformats-officedocument.presentationml.presentation
odt: application/vnd.oasis.opendocument.text
ods: application/vnd.oasis.opendocument.spreadsheet
odp: application/vnd.oasis.opendocument.presentation
zip: application/zip
gz tgz: application/gzip
bz2: application/x-bzip2
xz: application/x-xz
zst: application/zstd
br: application/octet-stream
7z: application/x-7z-compressed
rar: application/vnd.rar
tar: application/x-tar z
jar war: application/java-archive
apk: application/vnd.android.package-archive
deb: application/vnd.debian.binary-package
rpm: application/x-rpm
iso img: application/octet-stream
dmg: application/x-apple-diskimage
crx: application/x-chrome-extension
xpi: application/x-xpinstall
torrent: application/x-bittorrent
sqlite db: application/vnd.sqlite3
pem crt: application/x-x509-ca-cert
asc sig: application/pgp-signature
swf: application/vnd.adobe.flash.movie
glb: model/gltf-binary
gltf: model/gltf+json z
obj: model/obj z
stl: model/stl
usdz: model/vnd.usdz+zip
`

func parseTypes(table string) map[string]mediaType {
	m := make(map[string]mediaType)
	for line := range strings.Lines(strings.TrimSpace(table)) {
		extensions, kind, _ := strings.Cut(strings.TrimSpace(line), ": ")
		t := mediaType{kind: kind}
		t.kind, t.compressible = strings.CutSuffix(t.kind, " z")
		if gzipped, ok := strings.CutSuffix(t.kind, " gzip"); ok {
			t.kind, t.coding = gzipped, proto.Gzip
		}
		for _, ext := range strings.Fields(extensions) {
			m[ext] = t
		}
	}
	return m
}
