#pragma once
// Which web pages may use the server, and under which names it may be called.
//
// A browser sends what any page asks it to: to a server on this machine, too, where there may be no keys. It says
// whose page it is (Origin), and by which name it found the server (Host).
//
// Threading: const members may be called from any thread.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headwater::gateway {

/// "host:port" without its port; of "[::1]:80" it is "[::1]".
std::string_view without_port(std::string_view host);

/// localhost, 127.0.0.0/8 or [::1], with or without brackets.
bool is_loopback(std::string_view name);

class Origins {
 public:
  /// `host`: the address listened on. `hosts`: further names; "*" for any. `origins`: as browsers write them
  /// ("https://app.example"); "*" for any.
  Origins(std::string host, std::vector<std::string> hosts, std::vector<std::string> origins);

  /// From now on only known hosts may be called: nobody but this machine reaches the server, and pages in its
  /// browsers may get here by names that their owners point to it (DNS rebinding). Not beside other members.
  void only_known_hosts() { only_known_hosts_ = true; }

  /// May the server be called so? `host`: of a request, with its port.
  bool takes_host(std::string_view host) const { return !only_known_hosts_ || knows(host); }

  /// May pages of this origin use the server, called by `host`? Its own may where the name is a known one.
  bool takes_origin(std::string_view origin, std::string_view host) const;

 private:
  bool knows(std::string_view host) const;

  const std::string host_;
  const std::vector<std::string> hosts_;
  const std::vector<std::string> origins_;
  bool only_known_hosts_ = false;
};

/// What is wrong with an entry of `origins`: it needs a scheme and a host, and has no path.
std::optional<std::string> check_origin(std::string_view origin);
/// The same of the first that is wrong.
std::optional<std::string> check_origins(const std::vector<std::string>& origins);

}  // namespace headwater::gateway
