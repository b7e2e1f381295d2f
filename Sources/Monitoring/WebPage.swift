import EventLoop

/// The page at `/`: Resources/page.html, which asks `/status.json` every two seconds and draws what it gets. It needs nothing else.
enum WebPage {
    static let response = HTTPResponse(
        status: 200,
        headers: [
            ("Content-Type", "text/html; charset=utf-8"), ("Cache-Control", "no-cache"),
            // Names of databases and users come from strangers: even if one got into the markup, it could load and run nothing.
            (
                "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
                    + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            ),
            ("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"), HTTPResponse.varies,
        ],
        body: .init(PackageResources.page_html))
    /// The same, compressed once.
    static let compressed = response.compressed()
}
