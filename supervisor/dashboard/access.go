package dashboard

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// level is what somebody may do. Each includes those before it.
type level int

const (
	sees  level = iota // states and events
	reads              // logs and output
	acts               // start, stop, restart, rebuild, roll back
)

// refusal is why somebody may not do something, as a response.
type refusal struct {
	status int
	why    string
}

func (r *refusal) Error() string { return r.why }

// access is who may do what.
type access struct {
	read, write func() (string, error) // the tokens; nil: there is none
	cookie      string
	wrong       chan struct{} // holds a place for each wrong token of the last second
}

const (
	wrongAtOnce = 4           // wrong tokens that are answered at the same time
	wrongTakes  = time.Second // for each
)

// levelOf says what the sender of r may do. The error is a *refusal: a token came, and it is wrong.
func (a *access) levelOf(r *http.Request) (level, error) {
	// Another scheme is that of a proxy before us, and none of our business.
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return a.check(r, token)
	}
	return a.sessionOf(r), nil
}

// check says what a token is good for. A wrong one takes a second, and few are tried at a time.
func (a *access) check(r *http.Request, token string) (level, error) {
	if a.read == nil && a.write == nil {
		return sees, &refusal{http.StatusForbidden, "the dashboard has no tokens: set dashboard_read or dashboard_write in [supervisor] to a file with one"}
	}
	select { // also for right ones, or a flood of wrong ones would tell them apart
	case a.wrong <- struct{}{}:
		defer func() { <-a.wrong }()
	default:
		return sees, &refusal{http.StatusTooManyRequests, "too many tries: wait a second"}
	}
	given, may := sha256.Sum256([]byte(token)), sees
	var unreadable error
	for _, t := range []struct {
		token func() (string, error)
		level level
	}{{a.read, reads}, {a.write, acts}} {
		if t.token == nil {
			continue
		}
		want, err := t.token()
		if err != nil {
			unreadable = errors.Join(unreadable, err)
			continue
		}
		if sum := sha256.Sum256([]byte(want)); subtle.ConstantTimeCompare(given[:], sum[:]) == 1 {
			may = t.level
		}
	}
	if may > sees {
		return may, nil
	}
	select {
	case <-time.After(wrongTakes):
	case <-r.Context().Done():
	}
	if unreadable != nil {
		return sees, &refusal{http.StatusForbidden, "the token cannot be read: see the supervisor's log and `medctrl-supervisor check`"}
	}
	return sees, &refusal{http.StatusUnauthorized, "that is not the token"}
}

// A session is the text level.expires.mac in the cookie. The mac covers the key that the page keeps
// and is made with the token, so a session ends with its token, and outlives us.
const (
	sessionLasts = 12 * time.Hour
	keyHeader    = "X-Medctrl-Key"
)

// seal makes the mac of a session.
func seal(token, level, expires, key string) string {
	m := hmac.New(sha256.New, []byte(token))
	io.WriteString(m, "medctrl-supervisor dashboard session\n"+level+"\n"+expires+"\n"+key) // has no error
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func (l level) token(a *access) func() (string, error) {
	switch l {
	case reads:
		return a.read
	case acts:
		return a.write
	}
	return nil
}

// begin makes a session of a level and returns its cookie and its key.
func (a *access) begin(may level, now time.Time, secure bool) (*http.Cookie, string, error) {
	token, err := may.token(a)()
	if err != nil {
		return nil, "", err
	}
	random := make([]byte, 32)
	rand.Read(random) // never fails
	key := base64.RawURLEncoding.EncodeToString(random)
	name, expires := strconv.Itoa(int(may)), strconv.FormatInt(now.Add(sessionLasts).Unix(), 10)
	return a.jar(name+"."+expires+"."+seal(token, name, expires, key), int(sessionLasts.Seconds()), secure), key, nil
}

// jar is the session's cookie with a value.
func (a *access) jar(value string, seconds int, secure bool) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // not Secure: the dashboard speaks plain HTTP, see SECURITY.md
		Name: a.cookie, Value: value, Path: "/", MaxAge: seconds,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: secure,
	}
}

// sessionOf says what the session of r is good for.
func (a *access) sessionOf(r *http.Request) level {
	key := r.Header.Get(keyHeader)
	if key == "" {
		return sees
	}
	for _, c := range r.CookiesNamed(a.cookie) { // another port of this host may have set one too
		parts := strings.Split(c.Value, ".")
		if len(parts) != 3 {
			continue
		}
		n, err := strconv.Atoi(parts[0])
		expires, timeErr := strconv.ParseInt(parts[1], 10, 64)
		token := level(n).token(a)
		if err != nil || timeErr != nil || token == nil || time.Now().Unix() >= expires {
			continue
		}
		secret, err := token()
		if err != nil {
			continue // it is as if there were no token
		}
		if hmac.Equal([]byte(parts[2]), []byte(seal(secret, parts[0], parts[1], key))) {
			return level(n)
		}
	}
	return sees
}

// sameOrigin decides by Sec-Fetch-Site, and where a browser is too old for it by Origin.
var sameOrigin = http.NewCrossOriginProtection()

// fromPage returns an error unless a request that changes something can only come from the page
// itself or from a script that knows a token: another page can have a browser send a form.
func fromPage(r *http.Request) error {
	if err := sameOrigin.Check(r); err != nil {
		return &refusal{http.StatusForbidden, "only the dashboard's own page may do this"}
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	bare := r.Header.Get("Content-Type") == "" && r.ContentLength == 0 && strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bare && (err != nil || kind != "application/json") {
		return &refusal{http.StatusUnsupportedMediaType, "want Content-Type: application/json"}
	}
	return nil
}

// session is what the page may ask of its session.
type session struct {
	Readable bool   `json:"readable"` // there is a token by which one may read logs and output
	Writable bool   `json:"writable"` // there is one by which one may act
	Read     bool   `json:"read"`     // the sender may
	Write    bool   `json:"write"`
	Key      string `json:"key,omitempty"` // of a new session
}

func (a *access) session(may level) session {
	return session{Readable: a.read != nil || a.write != nil, Writable: a.write != nil, Read: may >= reads, Write: may >= acts}
}

const (
	loginLimit = 5 * time.Second // for a client to send its token
	maxLogin   = 4 << 10
)

// serve says what the sender may do (GET), begins a session (POST, with a token) or ends it (DELETE).
func (a *access) serve(w http.ResponseWriter, r *http.Request) error {
	may := sees
	switch r.Method {
	case http.MethodGet:
		var err error
		if may, err = a.levelOf(r); err != nil {
			return err
		}
		return say(w, a.session(may))
	case http.MethodDelete:
		if err := fromPage(r); err != nil {
			return err
		}
		http.SetCookie(w, a.jar("", -1, false))
		return say(w, a.session(sees))
	case http.MethodPost:
	default:
		w.Header().Set("Allow", "GET, POST, DELETE")
		return &refusal{http.StatusMethodNotAllowed, "a session is asked for by GET, begun by POST and ended by DELETE"}
	}
	if err := fromPage(r); err != nil {
		return err
	}
	http.NewResponseController(w).SetReadDeadline(time.Now().Add(loginLimit)) // dropped: a test's recorder has none
	var given struct{ Token string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxLogin)).Decode(&given); err != nil {
		return &refusal{http.StatusBadRequest, `want {"token": "…"}`}
	}
	may, err := a.check(r, given.Token)
	if err != nil {
		return err
	}
	cookie, key, err := a.begin(may, time.Now(), r.Header.Get("X-Forwarded-Proto") == "https")
	if err != nil {
		return &refusal{http.StatusForbidden, "the token cannot be read: see `medctrl-supervisor check`"}
	}
	http.SetCookie(w, cookie)
	said := a.session(may)
	said.Key = key
	return say(w, said)
}

func say(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // a client that has gone needs no answer
	return nil
}
