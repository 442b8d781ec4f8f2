module example.invalid/pullkey/peers/secretservice

go 1.26.0

// cgo

tool github.com/docker/docker-credential-helpers/secretservice/cmd

require github.com/docker/docker-credential-helpers v0.9.13 // indirect
