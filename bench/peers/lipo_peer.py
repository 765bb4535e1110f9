"""The numerical half of lipo in GPyTorch, BoTorch and PyTorch, on the numbers that lipo_bench makes.

    lipo_peer.py gp N EPOCHS THREADS
    lipo_peer.py acquisition N SEEDS FOLDER LIMITS THREADS     on the models that lipo_bench left in FOLDER; LIMITS: batch
                                                               limits, with commas, 64 for all starts in one batch
    lipo_peer.py vae ROWS EPOCHS THREADS
"""

import sys
import time

import torch


def wave(count, scale, step, offset):
    return scale * torch.sin(step * torch.arange(1, count + 1, dtype=torch.double)) + offset


def data_of(count, seed):
    shift = 0.01 * seed
    x = wave(count * 64, 0.5, 1.37 + shift, 0.5).view(count, 64)
    y = x @ wave(64, 0.02, 0.37, 0) + wave(count, 0.01, 2.11 + shift, -0.3)
    low, high = x.min(0).values, x.max(0).values
    return (x - low) / (high - low), (y - y.mean()) / y.std()


def process(x, y):
    import gpytorch
    from botorch.models.gpytorch import GPyTorchModel

    class Adapted(gpytorch.models.ExactGP, GPyTorchModel):
        _num_outputs = 1

        def __init__(self, likelihood):
            super().__init__(x, y, likelihood)
            self.adapter = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.LayerNorm(32), torch.nn.Linear(32, 10))
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(
                gpytorch.kernels.MaternKernel(nu=2.5, ard_num_dims=10, lengthscale_prior=gpytorch.priors.GammaPrior(3.0, 6.0)),
                outputscale_prior=gpytorch.priors.GammaPrior(2.0, 0.15))

        def forward(self, z):
            z = self.adapter(z)
            return gpytorch.distributions.MultivariateNormal(self.mean_module(z), self.covar_module(z))

    likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=gpytorch.constraints.Interval(0.001, 0.1))
    return Adapted(likelihood).double(), likelihood.double()


def gp(count, epochs):
    import gpytorch
    x, y = data_of(count, 0)
    torch.manual_seed(1)
    model, likelihood = process(x, y)
    model.train(), likelihood.train()
    objective = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
    start = time.perf_counter()
    for _ in range(epochs):
        optimiser.zero_grad()
        loss = -objective(model(x), y)
        loss.backward()
        optimiser.step()
    seconds = time.perf_counter() - start
    print(f"GPyTorch gp: N {count}, {epochs} epochs, {torch.get_num_threads()} threads: {seconds:.3f} s, "
          f"{1e3 * seconds / epochs:.3f} ms an epoch, loss {loss.item():.6f}")


def acquisition(count, seeds, folder, limits):
    import numpy
    from botorch.acquisition.analytic import LogExpectedImprovement
    from botorch.optim import optimize_acqf
    for limit in limits:
        seconds, mean = 0.0, 0.0
        for seed in range(seeds):
            x, y = data_of(count, seed)
            model, likelihood = process(x, y)
            flat = torch.from_numpy(numpy.fromfile(f"{folder}/{seed}.bin"))
            kernel = model.covar_module
            at = 0
            for p in [*model.adapter.parameters(), kernel.base_kernel.raw_lengthscale, kernel.raw_outputscale, likelihood.noise_covar.raw_noise]:
                with torch.no_grad():
                    p.copy_(flat[at:at + p.numel()].view(p.shape))
                at += p.numel()
            model.eval(), likelihood.eval()
            low, high = x.min(0).values, x.max(0).values
            bounds = torch.stack([low - 0.2 * (high - low), high + 0.2 * (high - low)])
            torch.manual_seed(seed)
            start = time.perf_counter()
            _, value = optimize_acqf(LogExpectedImprovement(model, best_f=y.max()), bounds=bounds, q=1, num_restarts=64,
                                     raw_samples=1024, options={"maxiter": 200, "batch_limit": limit})
            seconds += time.perf_counter() - start
            mean += value.item() / seeds
        print(f"BoTorch acquisition (batch_limit {limit}): N {count}, 64 starts of 1,024, {seeds} seeds, {torch.get_num_threads()} threads: "
              f"{seconds / seeds:.3f} s each, mean log EI {mean:.6f}")


def vae(rows, epochs):
    x = (wave(rows * 768, 1, 0.731, 0) + 0.3 * wave(rows * 768, 1, 0.0137, 0)).view(rows, 768)
    x = torch.nn.functional.normalize(x, dim=1).float()[: rows - -(-rows * 15 // 100)]

    def stack(widths, last):
        layers = []
        for a, b in zip(widths, widths[1:]):
            layers += [torch.nn.Linear(a, b), torch.nn.ReLU(), torch.nn.LayerNorm(b)]
        return torch.nn.Sequential(*layers, torch.nn.Linear(widths[-1], last))

    encoder, decoder = stack([768, 64, 32], 128), stack([64, 32, 64, 256], 768)
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=3e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 2 * epochs, 1e-4)
    start = time.perf_counter()
    for epoch in range(epochs):
        beta = 0.003 * min(1.0, epoch / 500)
        total = 0.0
        order = torch.randperm(len(x))
        for first in range(0, len(x), 64):
            batch = x[order[first:first + 64]]
            mean, log = encoder(batch).chunk(2, dim=1)
            z = mean + (log / 2).exp() * torch.randn_like(mean)
            y = torch.nn.functional.normalize(decoder(z), dim=1)
            reconstruction = (1 - torch.nn.functional.cosine_similarity(batch, y)).mean()
            kl = -0.5 * (1 + log - mean.square() - log.exp()).sum(1).mean()
            optimiser.zero_grad()
            (reconstruction + beta * kl).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimiser.step()
            total += reconstruction.item() * len(batch)
        schedule.step()
    seconds = time.perf_counter() - start
    print(f"PyTorch vae: {rows} x 768, {epochs} epochs, {torch.get_num_threads()} threads: {seconds:.2f} s, "
          f"{1e3 * seconds / epochs:.3f} ms an epoch, training reconstruction {total / len(x):.4f}")


def main():
    what, numbers = sys.argv[1], sys.argv[2:]
    torch.set_num_threads(int(numbers[-1]))
    if what == "gp":
        gp(int(numbers[0]), int(numbers[1]))
    elif what == "acquisition":
        acquisition(int(numbers[0]), int(numbers[1]), numbers[2], [int(limit) for limit in numbers[3].split(",")])
    elif what == "vae":
        vae(int(numbers[0]), int(numbers[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
