package proxy

// AppCookie is a cookie of the app, by name and path.
type AppCookie struct{ Name, Path string }
