// An OpenID provider for the demo and the tests: people and their passwords out of a file, one client, everything in memory.
package main

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// provider puts a person's email into the ID token, where the example's clients have it from the userinfo endpoint alone.
type provider struct{ *storage.Storage }

type client struct{ op.Client }

func (client) IDTokenUserinfoClaimsAssertion() bool { return true }

func (p provider) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	found, err := p.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{found}, nil
}

func required(name string) string {
	value := os.Getenv(name)
	if value == "" {
		slog.Error("not set", "variable", name)
		os.Exit(1)
	}
	return value
}

func main() {
	users, err := storage.StoreFromFile(required("USERS_FILE"))
	if err != nil {
		slog.Error("reading the people", "error", err)
		os.Exit(1)
	}
	secret, err := os.ReadFile(required("CLIENT_SECRET_FILE"))
	if err != nil {
		slog.Error("reading the client's secret", "error", err)
		os.Exit(1)
	}
	storage.RegisterClients(storage.WebClient(
		required("CLIENT_ID"), strings.TrimSpace(string(secret)), strings.Fields(required("REDIRECT_URIS"))...))
	var key [32]byte
	_, _ = rand.Read(key[:])
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	handler := exampleop.SetupServer(required("ISSUER"), provider{storage.NewStorage(users)}, logger, false,
		op.WithCrypto(op.NewAESCrypto(key)))
	server := &http.Server{Addr: required("LISTEN"), Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	logger.Error("ended", "error", server.ListenAndServe())
	os.Exit(1)
}
