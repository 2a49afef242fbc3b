package main

// The start-up of metrics-server. Its own (cmd/metrics-server/app/options of 0.7.2) does not compile against the
// 0.34 libraries; pkg/server and pkg/api, which do the work, do. The flags have the names of the original.

import (
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/metrics-server/pkg/api"
	definitions "sigs.k8s.io/metrics-server/pkg/api/generated/openapi"
	"sigs.k8s.io/metrics-server/pkg/scraper/client"
	"sigs.k8s.io/metrics-server/pkg/server"
	"sigs.k8s.io/metrics-server/pkg/utils"
)

const (
	kubeletPort      = 10250
	shortestInterval = 10 * time.Second // the kubelet measures no more often
)

type metricsServer struct {
	serving        *options.SecureServingOptionsWithLoopback
	authentication *options.DelegatingAuthenticationOptions
	authorization  *options.DelegatingAuthorizationOptions
	kubeconfig     string
	resolution     time.Duration
}

func newMetricsServerCommand() *cobra.Command {
	m := metricsServer{
		serving:        options.NewSecureServingOptions().WithLoopback(),
		authentication: options.NewDelegatingAuthenticationOptions(),
		authorization:  options.NewDelegatingAuthorizationOptions(),
		resolution:     shortestInterval,
	}
	command := &cobra.Command{
		Use:  "metrics-server",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return m.run(genericapiserver.SetupSignalHandler()) },
	}
	flags := command.Flags()
	m.serving.AddFlags(flags)
	m.authentication.AddFlags(flags)
	m.authorization.AddFlags(flags)
	flags.StringVar(&m.kubeconfig, "kubeconfig", "", "how to reach the API server and, with the same credentials, the kubelets")
	flags.DurationVar(&m.resolution, "metric-resolution", m.resolution, "time between two scrapes, 10s or more")
	return command
}

func (m metricsServer) run(stop <-chan struct{}) error {
	if m.resolution < shortestInterval {
		return fmt.Errorf("--metric-resolution must be %s or more, not %s", shortestInterval, m.resolution)
	}
	access, err := clientcmd.BuildConfigFromFlags("", m.kubeconfig)
	if err != nil {
		return err
	}
	config, err := m.apiConfig()
	if err != nil {
		return err
	}
	running, err := server.Config{
		Apiserver:        config,
		Rest:             access,
		Kubelet:          kubelets(access),
		MetricResolution: m.resolution,
		ScrapeTimeout:    m.resolution * 9 / 10, // a scrape that hangs must end before the next begins
	}.Complete()
	if err != nil {
		return err
	}
	return running.RunUntil(stop)
}

// apiConfig is the generic API server that metrics-server is behind its one API group.
func (m metricsServer) apiConfig() (*genericapiserver.Config, error) {
	loopback := []net.IP{net.IPv4(127, 0, 0, 1)}
	if err := m.serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, loopback); err != nil {
		return nil, err
	}
	config := genericapiserver.NewConfig(api.Codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	if err := m.serving.ApplyTo(&config.SecureServing, &config.LoopbackClientConfig); err != nil {
		return nil, err
	}
	if err := m.authentication.ApplyTo(&config.Authentication, config.SecureServing, nil); err != nil {
		return nil, err
	}
	if err := m.authorization.ApplyTo(&config.Authorization); err != nil {
		return nil, err
	}
	namer := openapi.NewDefinitionNamer(api.Scheme)
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions.GetOpenAPIDefinitions, namer)
	config.OpenAPIConfig.Info.Title = "metrics-server"
	config.OpenAPIV3Config.Info.Title = "metrics-server"
	return config, nil
}

func kubelets(access *rest.Config) *client.KubeletClientConfig {
	return &client.KubeletClientConfig{
		Client:              *rest.CopyConfig(access),
		AddressTypePriority: utils.DefaultAddressTypePriority,
		Scheme:              "https",
		DefaultPort:         kubeletPort,
	}
}
