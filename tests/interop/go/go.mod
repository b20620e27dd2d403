module goodstanding/interop

go 1.25

require golang.org/x/mod v0.0.0

// The copy that ships with the toolchain; the build script puts it there.
replace golang.org/x/mod => ./xmod
