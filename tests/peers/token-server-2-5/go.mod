module example.invalid/pullkey/peers/token-server-2-5

go 1.26.0

tool github.com/docker/distribution/contrib/token-server

// It was written for the name that this module had then.
replace github.com/Sirupsen/logrus => github.com/sirupsen/logrus v1.0.6

require (
	github.com/Sirupsen/logrus v1.0.6 // indirect
	github.com/docker/distribution v2.5.2+incompatible // indirect
	github.com/docker/libtrust v0.0.0-20160708172513-aabc10ec26b7 // indirect
	github.com/gorilla/mux v1.8.1 // indirect
	github.com/sirupsen/logrus v1.10.2 // indirect
	github.com/stretchr/testify v1.12.1 // indirect
	golang.org/x/crypto v0.59.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.50.0 // indirect
	golang.org/x/term v0.48.0 // indirect
	gopkg.in/airbrake/gobrake.v2 v2.0.9 // indirect
	gopkg.in/gemnasium/logrus-airbrake-hook.v2 v2.1.2 // indirect
)
