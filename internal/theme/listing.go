package theme

// ListingStyle is the style sheet of a directory listing.
const ListingStyle = Base + `
:root{--edge:light-dark(#dde1e7,#2a313c);--mark:light-dark(#1d5fc4,#79b2ff)}
body{max-width:60rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}
a{color:var(--mark);text-decoration:none}a:hover{text-decoration:underline}
:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
h1{font-size:1.25rem;font-weight:400;margin:0;overflow-wrap:anywhere}
h1 [aria-current]{font-weight:600}
main>table{width:100%;border-collapse:collapse;margin-top:1rem;background:light-dark(#fff,#171b22);box-shadow:0 0 0 1px var(--edge);border-radius:.5rem;
caption{caption-side:bottom;text-align:left;padding-top:.75rem;color:var(--dim);font-size:.875rem}
th,td{padding:.4rem .75rem;text-align:left;vertical-align:baseline}
th{font-size:.875rem;font-weight:600}
td{border-top:1px solid var(--edge)}
tbody tr:hover{background:light-dark(#f0f4fb,#1d232d)}
th:nth-child(n+2),td:nth-child(n+2){text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
td a{display:block;padding-left:1.75em;text-indent:-1.75em}td a[href$="/"]{font-weight:600}
td a::before{content:"";display:inline-block;width:1.1em;height:1.1em;margin-right:.65em;vertical-align:-.15em;background:var(--dim);mask:var(--i) center/contain no-repeat}
tr.d a::before{background:var(--mark)}
tr{--i:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='2' stroke-linejoin='round'%3E%3Cpath d='M6 2h8l4 4v16H6zM14 2v4h4'/%3E%3C/svg%3E")}
tr.d{--i:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='2' stroke-linejoin='round'%3E%3Cpath fill='black' d='M2 5h7l2 3h11v12H2z'/%3E%3C/svg%3E")}
tr.i{--i:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='2' stroke-linejoin='round'%3E%3Cpath d='M3 4h18v16H3zM3 17l6-6 4 4 3-3 5 5'/%3E%3C/svg%3E")}
tr.v{--i:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='2' stroke-linejoin='round'%3E%3Cpath d='M3 5h18v14H3zM10 9v6l5-3z'/%3E%3C/svg%3E")}
tr.a{--i:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='2' stroke-linejoin='round'%3E%3Cpath d='M9 18V5l10-2v13'/%3E%3Ccircle cx='6.5' cy='18' r='2.5'/%3E%3Ccircle cx='16.5' cy='16' r='2.5'/%3E%3C/svg%3E")}
tr.z{--i:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='2' stroke-linejoin='round'%3E%3Cpath d='M4 3h16v18H4zM12 3v12M9 18h6'/%3E%3C/svg%3E")}
tr.c{--i:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='2' stroke-linejoin='round'%3E%3Cpath d='M8 6l-6 6 6 6M16 6l6 6-6 6'/%3E%3C/svg%3E")}
tr.t{--i:url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24' fill='none' stroke='black' stroke-width='2' stroke-linejoin='round'%3E%3Cpath d='M6 2h12v20H6zM9 7h6M9 12h6M9 17h4'/%3E%3C/svg%3E")}
td:first-child{width:100%;overflow-wrap:anywhere;white-space:pre-wrap}
td:nth-child(n+2){color:var(--dim);font-size:.875rem}
[aria-sort=ascending] a::after{content:" ↑"}
[aria-sort=descending] a::after{content:" ↓"}
}
.bar{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;align-items:baseline;margin:1rem 0 0;color:var(--dim);font-size:.875rem}
.bar a{margin-left:.5em;text-decoration:underline}
.bar label{margin-left:auto}
input{font:inherit;color:inherit;background:light-dark(#fff,#171b22);border:1px solid var(--edge);border-radius:.35rem;padding:.2rem .5rem;margin-left:.5em;width:12rem}
article{margin-top:1.5rem;padding:1rem 1.25rem;background:light-dark(#fff,#171b22);box-shadow:0 0 0 1px var(--edge);border-radius:.5rem;overflow-wrap:anywhere;
>:first-child{margin-top:0}>:last-child{margin-bottom:0}
h2{font-size:1.375rem}h3{font-size:1.125rem}h4,h5,h6{font-size:1rem}
a{text-decoration:underline}
img{max-width:100%}
pre{white-space:pre-wrap;font-size:.875rem}
pre:has(code){padding:.75rem 1rem;background:light-dark(#f4f5f7,#0e1116);border-radius:.35rem}
code{font-size:.875em}
blockquote{margin-inline:0;padding-left:1rem;border-left:3px solid var(--edge);color:var(--dim)}
table{border-collapse:collapse}th,td{padding:.25rem .75rem;border:1px solid var(--edge);text-align:left}
[align=right]{text-align:right}[align=center]{text-align:center}
}
i{font:.75em/1 ui-monospace,monospace;border:1px solid;border-radius:.25em;padding:0 .25em}
@media(max-width:30rem){.bar label{display:flex;align-items:center;margin-left:0;flex:1 0 100%}input{flex:1}body{padding:1rem .5rem 2rem}main>table{th,td{padding:.4rem .5rem}td:nth-child(3) span{display:none}th:nth-child(3){white-space:normal}}}
`

// ListingScript adds to a directory listing what needs a script: a field that hides
// the rows whose name does not have what is typed. "/" goes to it, Escape empties it,
// and Enter opens what is left if that is one. Everything else works without.
const ListingScript = `
const rows=[...document.querySelectorAll("tbody tr")].filter(r=>r.querySelector("time"))
if(rows.length>7){
const caption=document.querySelector("caption"),all=caption.textContent
const label=document.createElement("label"),field=document.createElement("input")
field.type="search";label.append("Filter",field)
caption.setAttribute("aria-live","polite")
let bar=document.querySelector(".bar")
if(!bar){bar=document.createElement("p");bar.className="bar";document.querySelector("table").before(bar)}
bar.append(label)
field.oninput=()=>{
const typed=field.value.trim().toLowerCase()
let n=0
for(const r of rows)if(!(r.hidden=!r.cells[0].textContent.toLowerCase().includes(typed)))n++
caption.textContent=typed?n+" of "+rows.length+" shown":all}
field.onkeydown=e=>{
const left=rows.filter(r=>!r.hidden)
if(e.key=="Enter"&&left.length==1)left[0].querySelector("a").click()
if(e.key=="ArrowDown"&&left.length){e.preventDefault();left[0].querySelector("a").focus()}
if(e.key=="Escape"){field.value="";field.oninput()}}
document.addEventListener("keydown",e=>{
if(e.key=="/"&&document.activeElement!=field&&!e.ctrlKey&&!e.metaKey&&!e.altKey){e.preventDefault();field.focus()}})}
`

// ListingPolicy is the same as ErrorPolicy for a directory listing: the script, by its
// hash too, and images of the same site, for a README.
const ListingPolicy = "Content-Security-Policy: default-src 'none'; img-src 'self' data:; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'self'; script-src 'sha256-" + scriptHash + "'; style-src 'sha256-" + listingHash + "'\r\n"

const (
	listingHash = "FeZTgb4dyyhHN6XKzFVYXSxu1GSUM99x0Ia9lAInPJM="
	scriptHash  = "GNb+uyDD55JTnJgQDTEp4/pw6bYILBGspSwReazlLco="
)
