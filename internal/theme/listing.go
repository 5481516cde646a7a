package theme

// ListingStyle is the style sheet of a directory listing.
const ListingStyle = Base + `
:root{--edge:light-dark(#dde1e7,#2a313c);--mark:light-dark(#1d5fc4,#79b2ff)}
body{max-width:60rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}
a{color:var(--mark);text-decoration:none}a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
h1{font-size:1.25rem;font-weight:400;margin:0;overflow-wrap:anywhere}
h1 [aria-current]{font-weight:600}
table{width:100%;border-collapse:collapse;margin-top:1rem;background:light-dark(#fff,#171b22);box-shadow:0 0 0 1px var(--edge);border-radius:.5rem}
caption{caption-side:bottom;text-align:left;padding-top:.75rem;color:var(--dim);font-size:.875rem}
th,td{padding:.4rem .75rem;text-align:left;vertical-align:baseline}
th{font-size:.875rem;font-weight:600}
td{border-top:1px solid var(--edge)}
tbody tr:hover{background:light-dark(#f0f4fb,#1d232d)}
th:nth-child(n+2),td:nth-child(n+2){text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td a{display:block}td a[href$="/"]{font-weight:600}
td:first-child{width:100%;overflow-wrap:anywhere;white-space:pre-wrap}
td:nth-child(n+2){color:var(--dim);font-size:.875rem}
[aria-sort=ascending] a::after{content:" ↑"}
[aria-sort=descending] a::after{content:" ↓"}
i{font:.75em/1 ui-monospace,monospace;border:1px solid;border-radius:.25em;padding:0 .25em}
@media(max-width:30rem){body{padding:1rem .5rem 2rem}th,td{padding:.4rem .5rem}td:nth-child(3) span{display:none}th:nth-child(3){white-space:normal}}
`

// ListingPolicy is the same as ErrorPolicy for a directory listing.
const ListingPolicy = policy + listingHash + "'\r\n"

const listingHash = "v9xM/v1lUyCdB/QnHVd+tcrOSZh2Z+eePUxWdsVsnD4="
