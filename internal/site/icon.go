package site

import "strings"

// iconOf returns the class attribute of a row, by which the style sheet selects the icon. It
// depends on the type of the name.
func iconOf(e *entry) string {
	if e.dir {
		return ` class="d"`
	}
	kind := typeOf([]byte(e.name)).kind
	switch family, _, _ := strings.Cut(kind, "/"); family {
	case "image":
		return ` class="i"`
	case "video":
		return ` class="v"`
	case "audio":
		return ` class="a"`
	case "font":
		return ` class="t"`
	}
	switch ext, _ := extension([]byte(e.name)); strings.ToLower(string(ext)) {
	case "zip", "gz", "tgz", "bz2", "xz", "zst", "br", "7z", "rar", "tar", "jar", "deb", "rpm", "iso", "img", "dmg":
		return ` class="z"`
	case "go", "c", "h", "cc", "cpp", "rs", "py", "rb", "pl", "sh", "java", "ts", "tsx", "lua", "php", "sql", "toml", "yaml", "yml":
		return ` class="c"`
	}
	bare, _, _ := strings.Cut(kind, ";")
	switch bare {
	case "text/plain", "text/markdown", "text/csv", "application/pdf", "application/epub+zip", "application/rtf":
		return ` class="t"`
	case "text/html", "text/css", "text/javascript", "application/json", "application/xml", "application/wasm":
		return ` class="c"`
	}
	return ""
}
