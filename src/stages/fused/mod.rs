//! # fused: cell by cell, in registers
//!
//! **Starting point.** [tiled](super::tiled), on one thread.
//!
//! **Observation.** Every layer reads and writes the activations of the whole batch. Relu and
//! pooling do almost no arithmetic and still take time. The convolution copies images and outputs.
//! The gradient of the first linear layer, as large as its weights, is written only for Adam to
//! read it back.
//!
//! **Idea.** A *cell* is a 2×2 window of the convolution's output, from which max pooling makes one
//! value for each channel; there are 14·14 cells. A cell sees (K + 1)² pixels of an image, its
//! *patch*, and C·H weights of the first linear layer belong to it alone. Cells meet only in the
//! sums of the hidden units and in the gradient of the convolution. So a step goes cell by cell:
//!
//! ```text
//! for each cell p
//!     for each image n
//!         s[q] = kernel * patch[n], at the four places q of the window          C channels each
//!         a[n] = relu(max over q of s[q] + bias)
//!         remember the argmax, and whether a[n] > 0                             masks
//!     z[n] += a[n] · W[p]                                                       (H)
//! h = relu(z + b1);  logits = W2·h + b2;  softmax;  dlogits, dW2, db2;  dz, db1
//! for each cell p
//!     da[n] = dz[n] · W[p]ᵀ                                                     old weights
//!     for each image n: dkernel += da[n] at the argmax ⊗ patch[n];  dbias += da[n]   if a[n] > 0
//!     g = Σ over n of a[n] ⊗ dz[n];  W[p], m[p], v[p] = Adam(g + λ·W[p], m[p], v[p])
//! Adam on kernel, bias, W2, b1 and b2
//! ```
//!
//! The code departs from the pseudocode in these ways:
//!
//! 1. **Lanes are channels** in the convolution and hidden units in the linear layer: a vector of
//!    weights is loaded, and a pixel or an activation is broadcast to all its lanes.
//! 2. **Sums stay in registers** (`tile`): a few rows of a few vectors, so that each value that is
//!    loaded serves several multiply-adds, and enough multiply-adds are under way at once.
//! 3. **Pooling goes before bias and relu** (`conv`). Both keep the order of numbers, so the
//!    largest of four sums gives the largest result too. The (C, 28, 28) map never exists.
//! 4. **Masks are bits**, three for each channel: lower row, right column, a > 0. A comparison of
//!    vectors gives the bits of all lanes. The first of equal sums wins, as in the definition.
//! 5. **The convolution's gradient takes one multiply-add for each tap**, not four. Rows of a patch
//!    are eight floats long. So the 16 floats from the place of a tap on contain the pixels under
//!    the tap for all four places of the window, and one permutation by the indices
//!    8·lower + right brings to each lane the pixel for its maximum.
//! 6. **One pass over the weights** (`linear`, `update`). A cell's weights are read for da. While
//!    they are in the cache, the gradient of a few channels is summed, goes through L2 and Adam,
//!    and is forgotten: w, m and v pass through memory once. Adam runs in between the products of
//!    the next few channels, and prefetches the weights that come next.
//! 7. **A row of 14 cells** (`cells`) has its own weights, z and gradient of the convolution.
//!    The z and the gradients of all rows are added in the order of a fixed tree (`row_tree`), so
//!    cores can share the rows, and so can processes.
//! 8. **Groups of eight images** (`head`) go through the middle of the step, from z to dz. Cores
//!    share the groups in the same way.
//! 9. **Lists of images** say for which images a cell is computed. Here they hold all images;
//!    [sparse](super::sparse) and [live](super::live) leave some out.
//! 10. **Pixels are whole numbers** in the products, 0 to 255. The kernel is divided by 255
//!     instead, once in a step, and so is its gradient.
//! 11. **A factor** (`products`) is what a multiply-add multiplies. Here a factor is a number;
//!     [bf16](super::bf16) makes it a pair.
//!
//! ```text
//! canonical, PyTorch's                      here
//! conv1.weight  [C, 1, K, K]                (K², C)          a vector holds one tap of 16 channels
//! fc1.weight    [H, (c, y, x)]              row y: (x, c, H) a cell's C·H weights are contiguous
//!
//!      h → 0 … H−1                          images (N, 28 + K − 1, 40) bytes, zeros around them
//! x=0  c=0    ████████                      patch  (K + 1, 8) floats of one cell and image
//!      c=1    ████████   read and written   a      (x, N + 1, C)
//!      …                 front to back,     masks  (x, N + 1, C/lanes)
//! x=1  c=0    ████████   w, m and v alike   z      (N + 1, H) partial sums of one row of cells
//!      …                                    dz     (N + 1, H)
//! ```
//!
//! N is the number of images of the batch, C of channels, H of hidden units, O of classes; R is the
//! number of rows and U the number of vectors in a tile. In the arrays on the right, H is rounded
//! up to whole vectors (*H padded* in the files), and the weights of the added units stay 0. Only
//! the stages from [sparse](super::sparse) on use row N. λ is the factor of L2, and a ⊗ b the outer
//! product of a and b. Every array of floats begins on a cache line. Memory is allocated when a
//! batch is larger than all batches before it; no other step allocates.
//!
//! **What it costs.** The engine runs one pattern of network, [`Network`], and its layers can no
//! longer be seen one by one: it has files where the chapters before had lines. Sums run in yet
//! another order.
//!
//! **Measured.** OPTIMIZATIONS.md, chapter fused.

mod cell_row;
mod cells;
mod conv;
mod dense;
mod head;
mod images;
mod layout;
mod linear;
mod live;
mod masks;
mod network;
mod products;
mod row_tree;
mod skip;
mod tile;
mod trained;
mod update;

use std::ops::Range;
use std::{array, mem};

use super::floats::{self, AlignedVec, Floats};
use cell_row::CellRow;
use cells::{Shared, SharedBackward};
use conv::{ConvPlan, ConvWeights};
use head::{GROUP_IMAGES, Group, HeadWeights};
use images::Images;
pub use network::{CELLS, Network};
use products::Products;
pub use row_tree::MOST_PARTS;
pub use skip::Skip;
use trained::{Tensors, Trained};
use update::{Active, AdamVectors};

use crate::data::batches::Batch;
use crate::engine::Engine;
use crate::engine::compute::{Compute, Precision};
use crate::engine::phases::{Phase, PhaseClock, Phases};
use crate::error::{Error, Result};
use crate::model::architecture::Architecture;
use crate::model::parameters::{Parameters, Slot, TrainState};
use crate::model::recipe::{OptimizerKind, Recipe};
use crate::nn::cross_entropy::LossSum;
use crate::optim::adam::Adam;
use crate::ranks::Ranks;
#[cfg(target_arch = "aarch64")]
use crate::simd::Neon;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512, Avx512Bf16};
use crate::simd::{Isa, Portable};
use crate::team::{Order, Team};

/// Engine that executes a step cell by cell.
pub struct FusedEngine<S: Products> {
    /// Vector instructions of the kernels.
    simd: S,
    /// Sizes of the network.
    network: Network,
    /// Settings of the optimizer.
    adam: Adam,
    /// Part of the target that is spread over all classes.
    smoothing: f64,
    /// Products with 0 that are left out.
    skip: Skip,
    /// Whether the convolution is frozen.
    freezes_convolution: bool,
    /// Number of steps so far.
    steps: u64,
    /// Whether the cost of the phases is measured.
    measuring: bool,
    /// Cost of the phases outside the rows of cells since the costs were last taken.
    phases: Phases,
    /// Threads that share the work of a step.
    team: Team,
    /// Images of the batch.
    images: Images,
    /// Parameters of the convolution in the form that cells read.
    plan: ConvPlan,
    /// Parameters of the convolution.
    conv: Trained<ConvWeights>,
    /// Biases of the first linear layer, and parameters of the second one.
    head: Trained<HeadWeights>,
    /// Processes that share the rows of cells, if there are several.
    ranks: Option<Ranks>,
    /// Rows of cells, in the order of the leaves of the tree in which they are added, (14); or those that
    /// are this rank's.
    cell_rows: Vec<CellRow<S>>,
    /// Order in which rows of cells are begun.
    cell_row_order: Order,
    /// Groups of images, (N / 8).
    groups: Vec<Group>,
    /// Order in which groups are begun.
    group_order: Order,
    /// Hidden units that have a gradient.
    active: Active<S>,
    /// Gradient dz of every image and, in row N, the sum over all images, packed to the active
    /// units, (N + 1, [`Active::stride`]), with room for rows of all units.
    dz: Floats,
    /// Copy of `dz` as factors that lie side by side; empty if it is not copied.
    dz_factors: AlignedVec<S::Factor>,
    /// Part of the sums of the hidden units that all images have in common, (H padded).
    common: Floats,
    /// Logits of the last batch that was predicted, (N, O).
    logits: Vec<f32>,
    /// Names and shapes of the canonical form.
    canonical: Parameters,
}

/// Number of floats that the forward pass of `images` images keeps for the backward pass. The map
/// before pooling is not among them, because the engine holds only a few of its cells at a time.
///
/// # Panics
/// When the network does not fit the engine's pattern.
pub fn activations(architecture: &Architecture, images: usize) -> usize {
    let network = Network::of(architecture).expect("the stage's requirements were checked");
    images * (CELLS * CELLS * network.channels + 2 * network.hidden + network.classes)
}

/// Option of `recipe`, as its flag is written, with which the engine cannot train; `None` if it
/// can.
pub fn unmet(recipe: &Recipe) -> Option<&'static str> {
    let options = [
        (recipe.optimizer == OptimizerKind::Sgd, "--optimizer sgd"),
        (recipe.clip_norm > 0.0, "--clip-norm"),
        (recipe.accumulate > 1, "--accumulate"),
        (recipe.checkpoint_activations > 1, "--checkpoint-activations"),
    ];
    options.into_iter().find_map(|(is_given, option)| is_given.then_some(option))
}

/// Fused engine that trains `architecture` by `recipe` with the instructions and threads of
/// `compute`.
///
/// # Errors
/// When the operating system refuses to start the threads.
///
/// # Panics
/// When the network does not fit the engine's pattern, when the CPU lacks the instructions of
/// `compute.isa`, or when `compute.isa` lacks products of `precision`.
pub fn build(
    architecture: &Architecture,
    recipe: &Recipe,
    compute: Compute,
    precision: Precision,
    skip: Skip,
) -> Result<Box<dyn Engine>> {
    let team = Team::new(compute.threads).map_err(Error::threads(compute.threads))?;
    Ok(match compute.isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 if precision == Precision::Bf16 => {
            FusedEngine::boxed(Avx512Bf16::detect(), architecture, recipe, team, skip)
        }
        isa if precision == Precision::Bf16 => unreachable!("{isa} has no products of bf16"),
        Isa::Portable => FusedEngine::boxed(Some(Portable), architecture, recipe, team, skip),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon => FusedEngine::boxed(Neon::detect(), architecture, recipe, team, skip),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => FusedEngine::boxed(Avx2::detect(), architecture, recipe, team, skip),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => FusedEngine::boxed(Avx512::detect(), architecture, recipe, team, skip),
        isa => unreachable!("{isa} belongs to another architecture"),
    })
}

/// The rows of cells number `rows`, with weights of 0.
fn cell_rows<S: Products>(network: &Network, skip: Skip, rows: &[usize]) -> Vec<CellRow<S>> {
    rows.iter().map(|&y| CellRow::new(network, y, skip)).collect()
}

/// Computes the logits of the images in the groups, which are begun in this order. `common` (H padded) is the
/// part of the sums of the hidden units that all images have in common, and `sum` returns the vector at an index
/// of the other part, (N, H padded).
fn forward_groups<S: Products>(
    simd: S,
    team: &mut Team,
    (groups, order): (&mut [Group], &Order),
    head: &HeadWeights,
    common: &[f32],
    sum: impl Fn(usize) -> S::Vector + Sync,
) {
    team.for_each(groups, order, |index, group| {
        Phase::Loss.run(|| group.forward(simd, head, index * GROUP_IMAGES, common, &sum));
    });
}

/// Adds `others` to `sums`, element by element.
fn add(sums: &mut [f32], others: &[f32]) {
    sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
}

impl<S: Products> FusedEngine<S> {
    /// Engine whose parameters are 0 until a state is loaded, and which leaves out the products of
    /// `skip`.
    fn boxed(
        simd: Option<S>,
        architecture: &Architecture,
        recipe: &Recipe,
        team: Team,
        skip: Skip,
    ) -> Box<dyn Engine> {
        let simd = simd.expect("the stage's requirements were checked");
        let network = Network::of(architecture).expect("the stage's requirements were checked");
        Box::new(Self {
            simd,
            network,
            adam: recipe.into(),
            smoothing: recipe.label_smoothing,
            skip,
            freezes_convolution: false,
            steps: 0,
            measuring: false,
            phases: Phases::default(),
            team,
            images: Images::new(&network),
            plan: ConvPlan::new::<S>(&network),
            conv: Trained::new(|| ConvWeights::new(&network)),
            head: Trained::new(|| HeadWeights::new(&network)),
            ranks: None,
            cell_rows: cell_rows(&network, skip, row_tree::part(0, 1)),
            cell_row_order: Order::of(CELLS),
            groups: Vec::new(),
            group_order: Order::of(0),
            active: Active::all(simd, network.hidden_padded()),
            dz: floats::zeros(0),
            dz_factors: S::copy_buffer(0),
            common: floats::zeros(network.hidden_padded()),
            logits: Vec::new(),
            canonical: Parameters::zeros(architecture),
        })
    }

    /// Grows the buffers to a batch of `images` images. Later batches of at most as many images
    /// allocate nothing.
    fn reserve(&mut self, images: usize) {
        let groups = images.div_ceil(GROUP_IMAGES);
        if self.groups.len() < groups {
            self.groups.resize_with(groups, || Group::new(&self.network));
        }
        self.group_order.reset(groups);
        if self.dz.len() < (images + 1) * self.network.hidden_padded() {
            self.dz.resize((images + 1) * self.network.hidden_padded(), 0.0);
            self.dz_factors = S::copy_buffer(self.dz.len());
            self.logits.reserve(images * self.network.classes);
        }
        let Self { network, plan, .. } = self;
        self.cell_rows.iter_mut().for_each(|row| row.reserve(network, plan, images));
    }

    /// Computes the logits of `batch` and keeps them in the groups.
    fn forward(&mut self, batch: &Batch<'_>, clock: &mut PhaseClock) {
        clock.run(Phase::Data, 0, || self.prepare(batch));
        let (simd, measuring) = (self.simd, clock.is_on());
        let Self { network, images, plan, skip, .. } = self;
        let shared = Shared { network, images, plan, skip: *skip };
        self.team.for_each(&mut self.cell_rows, &self.cell_row_order, |_, row| {
            let mut clock = PhaseClock::new(measuring);
            row.forward(simd, &shared, &mut clock);
            row.phases += clock.phases();
        });
        clock.run(Phase::Loss, 0, || self.forward_head(batch.len()));
    }

    /// Prepares the data that depend only on the batch and on the parameters of the convolution.
    fn prepare(&mut self, batch: &Batch<'_>) {
        let groups = batch.len().div_ceil(GROUP_IMAGES);
        self.reserve(batch.len());
        self.images.fill(self.simd, batch, self.skip != Skip::Nothing);
        for (index, group) in self.groups[..groups].iter_mut().enumerate() {
            let first = index * GROUP_IMAGES;
            group.set_labels(batch.labels().skip(first).take(GROUP_IMAGES));
        }
        if self.skip != Skip::Nothing {
            let (images, cell_rows) = (&self.images, &self.cell_rows);
            self.cell_row_order.longest_first(|index| images.inked_count(cell_rows[index].cells.y));
        }
        self.plan.set_weights(&self.conv.w, self.skip);
    }

    /// Computes the logits of `images` images from the partial sums of the rows of cells.
    fn forward_head(&mut self, images: usize) {
        if self.ranks.is_some() {
            return self.forward_shared_head(images);
        }
        self.sum_common();
        let simd = self.simd;
        let sums: [_; CELLS] = array::from_fn(|leaf| &*self.cell_rows[leaf].cells.partial_sums);
        forward_groups(
            simd,
            &mut self.team,
            (&mut self.groups[..images.div_ceil(GROUP_IMAGES)], &self.group_order),
            &self.head.w,
            &self.common,
            #[inline(always)]
            |place| row_tree::sum(simd, |leaf| simd.load(&sums[leaf][place..])),
        );
    }

    /// Computes `common`: the biases of the hidden units plus the parts of blank cells.
    fn sum_common(&mut self) {
        self.common.copy_from_slice(&self.head.w.bias1);
        if self.skip != Skip::Nothing {
            let width = self.common.len();
            let blank = self.images.count() * width..(self.images.count() + 1) * width;
            self.reduce_partial_sums(blank.clone());
            add(&mut self.common, &self.cell_rows[0].cells.partial_sums[blank]);
        }
    }

    /// Computes the logits of `images` images from the partial sums of the rows of cells of all ranks.
    fn forward_shared_head(&mut self, images: usize) {
        let width = self.common.len();
        let blank = usize::from(self.skip != Skip::Nothing);
        let own = 0..(images + blank) * width;
        self.reduce_partial_sums(own.clone());
        let sums = &mut self.cell_rows[0].cells.partial_sums[own];
        let ranks = self.ranks.as_ref().expect("several ranks share the rows");
        ranks.sum(&mut [&mut *sums], &mut [], |_| true);
        let (sums, of_blank) = sums.split_at(images * width);
        self.common.copy_from_slice(&self.head.w.bias1);
        add(&mut self.common, of_blank);
        let simd = self.simd;
        forward_groups(
            simd,
            &mut self.team,
            (&mut self.groups[..images.div_ceil(GROUP_IMAGES)], &self.group_order),
            &self.head.w,
            &self.common,
            #[inline(always)]
            |place| simd.load(&sums[place..]),
        );
    }

    /// Adds up the partial sums at these `places` of all own rows of cells, into those of the first one.
    fn reduce_partial_sums(&mut self, places: Range<usize>) {
        row_tree::reduce(&mut self.cell_rows, |sum, other| {
            let other = &other.cells.partial_sums[places.clone()];
            add(&mut sum.cells.partial_sums[places.clone()], other);
        });
    }

    /// Computes the loss of `images` images, and the gradients from the logits back to dz.
    fn backward_head(&mut self, images: usize) -> LossSum {
        let (simd, head, smoothing) = (self.simd, &self.head.w, self.smoothing);
        let groups = &mut self.groups[..images.div_ceil(GROUP_IMAGES)];
        self.team.for_each(groups, &self.group_order, |_, group| {
            Phase::Loss.run(|| group.backward(simd, head, images, smoothing));
        });
        let mut loss = LossSum::default();
        self.head.gradient.clear();
        for group in groups {
            self.head.gradient.add(&group.gradient);
            loss += group.loss;
        }
        self.gather_dz();
        loss
    }

    /// Copies dz of every image and the sum over all images from the groups to `dz`, packed to the
    /// active units.
    fn gather_dz(&mut self) {
        let width = self.network.hidden_padded();
        let images = self.images.count();
        let groups = &self.groups[..images.div_ceil(GROUP_IMAGES)];
        if self.skip != Skip::Nothing {
            self.active.units.fill(0);
            for group in groups {
                group.mark_active(&mut self.active.units);
            }
            self.active.rebuild(self.simd);
        }
        let rows = groups.iter().flat_map(|group| group.dz.chunks_exact(width));
        let sum = &self.head.gradient.bias1;
        let rows = rows.take(images).chain([sum.as_slice()]);
        let packed = self.dz.chunks_exact_mut(self.active.stride());
        for (row, packed) in rows.zip(packed) {
            self.active.pack(row, packed);
        }
    }

    /// Updates the parameters outside the rows of cells. Returns whether every updated weight is
    /// finite, the weights of the rows of cells included.
    fn update_small_layers(&mut self, weights: &AdamVectors<S>, biases: &AdamVectors<S>) -> bool {
        let Self { simd, conv, head, cell_rows, ranks, freezes_convolution, .. } = self;
        row_tree::reduce(cell_rows, |sum, other| sum.cells.gradient.add(&other.cells.gradient));
        let mut are_finite = cell_rows.iter().all(|row| row.cells.are_finite);
        mem::swap(&mut conv.gradient, &mut cell_rows[0].cells.gradient);
        if let Some(ranks) = ranks {
            let mut overflows = [u32::from(!are_finite)];
            ranks.sum(&mut conv.gradient.tensors_mut(), &mut overflows, |_| true);
            are_finite = overflows == [0];
        }
        conv.gradient.scale_gradient();
        let simd = *simd;
        are_finite
            & simd.vectorize(
                #[inline(always)]
                || {
                    (*freezes_convolution || conv.update(simd, [weights, biases]))
                        & head.update(simd, [biases, weights, biases])
                },
            )
    }
}

impl<S: Products> Engine for FusedEngine<S> {
    fn load(&mut self, state: &TrainState) {
        assert_eq!(state.parameters.specs(), self.canonical.specs());
        self.steps = state.steps;
        let Self { conv, head, cell_rows, network, .. } = self;
        let w: layout::Accessor<S> = &|row| &mut row.cells.w;
        layout::load(network, &state.parameters, &mut conv.w, cell_rows, w, &mut head.w);
        let m: layout::Accessor<S> = &|row| &mut row.cells.m;
        layout::load(network, state.slot(Adam::SLOTS[0]), &mut conv.m, cell_rows, m, &mut head.m);
        let v: layout::Accessor<S> = &|row| &mut row.cells.v;
        layout::load(network, state.slot(Adam::SLOTS[1]), &mut conv.v, cell_rows, v, &mut head.v);
    }

    fn join(&mut self, ranks: Ranks) {
        let part = row_tree::part(ranks.rank(), ranks.count());
        self.cell_rows = cell_rows(&self.network, self.skip, part);
        self.cell_row_order = Order::of(part.len());
        self.ranks = Some(ranks);
    }

    fn store(&self) -> TrainState {
        let Self { conv, head, cell_rows, network, .. } = self;
        let canonical = |conv, part: &dyn Fn(&CellRow<S>) -> &[f32], head| {
            let mut canonical = self.canonical.clone();
            layout::store(network, &mut canonical, conv, cell_rows, part, head);
            canonical
        };
        let moments = [
            canonical(&conv.m, &|row| &row.cells.m, &head.m),
            canonical(&conv.v, &|row| &row.cells.v, &head.v),
        ];
        let slots = Adam::SLOTS.iter().zip(moments);
        let mut state = TrainState {
            parameters: canonical(&conv.w, &|row| &row.cells.w, &head.w),
            slots: slots.map(|(name, values)| Slot { name: (*name).into(), values }).collect(),
            steps: self.steps,
        };
        if let Some(ranks) = &self.ranks {
            // The rows of other ranks are 0 here.
            ranks.unite(&mut [state.parameters.values_mut()]);
            state.slots.iter_mut().for_each(|slot| ranks.unite(&mut [slot.values.values_mut()]));
        }
        state
    }

    fn step(&mut self, batch: &Batch<'_>, lr: f64) -> LossSum {
        let (simd, measuring) = (self.simd, self.measuring);
        let mut clock = PhaseClock::new(measuring);
        self.forward(batch, &mut clock);
        let mut loss = clock.run(Phase::Loss, 0, || self.backward_head(batch.len()));
        clock.run(Phase::Data, 0, || self.images.prefetch(simd, batch));

        self.steps += 1;
        let weights = self.adam.step(self.steps, lr);
        let biases = AdamVectors::new(simd, &weights.without_decay());
        let weights = AdamVectors::new(simd, &weights);
        let Self { network, images, plan, skip, .. } = self;
        let forward = Shared { network, images, plan, skip: *skip };
        let active = &self.active;
        let dz = &self.dz[..(batch.len() + 1) * active.stride()];
        let dz_factors = clock.run(Phase::Loss, 0, || {
            simd.vectorize(
                #[inline(always)]
                || simd.rounded(dz, &mut self.dz_factors),
            )
        });
        let freezes_convolution = self.freezes_convolution;
        let shared =
            SharedBackward { forward, active, dz, dz_factors, adam: weights, freezes_convolution };
        self.team.for_each(&mut self.cell_rows, &self.cell_row_order, |_, row| {
            let mut clock = PhaseClock::new(measuring);
            row.backward(simd, &shared, &mut clock);
            row.phases += clock.phases();
        });

        let update = || self.update_small_layers(&weights, &biases);
        if !clock.run(Phase::Optimizer, 0, update) {
            loss.loss = f64::NAN;
        }
        self.phases += clock.phases();
        loss
    }

    fn freeze_convolutions(&mut self, frozen: bool) {
        self.freezes_convolution = frozen;
    }

    fn predict(&mut self, batch: &Batch<'_>) -> &[f32] {
        self.forward(batch, &mut PhaseClock::new(false));
        self.logits.clear();
        for group in &self.groups[..batch.len().div_ceil(GROUP_IMAGES)] {
            self.logits.extend_from_slice(group.logits());
        }
        &self.logits
    }

    fn threads(&self) -> usize {
        self.team.threads()
    }

    fn measure_phases(&mut self, on: bool) {
        self.measuring = on;
    }

    fn take_phases(&mut self) -> Phases {
        let mut phases = std::mem::take(&mut self.phases);
        self.cell_rows.iter_mut().for_each(|row| phases += std::mem::take(&mut row.phases));
        phases
    }
}
